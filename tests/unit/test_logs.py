"""Logs: one redacted stream, JSON unless a person watches, and a closed list of event names."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bot.app.live.logs import EVENTS, set_up_logs

CANARY = "tm-5e3d6f0a-canary"


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Capture stderr as the logs write it, and put logging back afterwards."""
    caught = io.StringIO()
    monkeypatch.setattr(sys, "stderr", caught)
    root = logging.getLogger()
    before = root.handlers, root.level
    set_up_logs(lambda: [CANARY])
    yield caught
    root.handlers, root.level = before[0], before[1]
    structlog.reset_defaults()


def test_a_secret_never_reaches_the_stream(stream: io.StringIO) -> None:
    """By name, by value, nested, in text, in an exception and through the standard library: the canary is masked."""
    log = structlog.get_logger()
    log.info("cycle", api_key=CANARY, note=f"with {CANARY} inside", nested={"x-api-key": 1, "deep": [CANARY]})
    logging.getLogger("library").warning("said %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        log.exception("cycle_failed")
    text = stream.getvalue()
    assert CANARY not in text
    assert text.count("***") >= 6


def test_lines_are_json_where_nobody_watches(stream: io.StringIO) -> None:
    """Each line is one JSON object with event, level and an aware timestamp; counts stay numbers."""
    structlog.get_logger().info("cycle", entries=2, seconds=0.5, state=None)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["entries"], line["seconds"], line["state"]) == (
        "cycle",
        "info",
        2,
        0.5,
        None,
    )
    assert line["timestamp"].endswith("Z")


def test_event_names_are_the_documented_ones() -> None:
    """What the package logs and the list of events are the same set."""
    root = Path(__file__).resolve().parents[2] / "bot"
    used = {
        name
        for path in root.rglob("*.py")
        for name in re.findall(r"\blog\.(?:info|warning|error|exception)\(\s*\"(\w+)\"", path.read_text())
    }
    assert used == EVENTS
