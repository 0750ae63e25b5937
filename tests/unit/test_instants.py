"""Dates without a time on the command line: a window over days holds their slots, from 00:00 to the last."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app.settings.kinds import first_instant, last_instant
from bot.cli.main import main, parser

MIDNIGHT = datetime(2024, 1, 2, tzinfo=UTC)
LAST = MIDNIGHT + timedelta(days=1) - timedelta.resolution


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "--strategy", "s.toml", "--history", "h"],
        ["parity"],
        ["check", "--lookahead", "--history", "h"],
    ],
)
def test_a_window_of_dates_is_of_whole_days(command: list[str]) -> None:
    """T2: a date in --from is that day's 00:00 and in --to its last instant; an instant stays what it is."""
    found = parser().parse_args([*command, "--from", "2024-01-02", "--to", "2024-01-02"])
    assert (found.start, found.end) == (MIDNIGHT, LAST)
    found = parser().parse_args([*command, "--from", "2024-01-02T00:00", "--to", "2024-01-02 00:00Z"])
    assert (found.start, found.end) == (MIDNIGHT, MIDNIGHT)


def test_why_at_a_date_is_asked_at_the_end_of_the_day() -> None:
    """T2: `why --at` a date sees the day's decisions, `--from` a date sees all of its day."""
    found = parser().parse_args(["why", "SOL", "--from", "2024-01-02", "--at", "2024-01-02"])
    assert (found.start, found.at) == (MIDNIGHT, LAST)


def test_a_slot_at_a_date_is_its_midnight() -> None:
    """T2: `once --at` names one slot, and a day has one at its beginning."""
    assert parser().parse_args(["once", "--at", "2024-01-02"]).at == MIDNIGHT


@pytest.mark.parametrize("written", ["2024-01-02", "20240102", "2024-W01-2"])
def test_every_form_of_a_date_is_a_day(written: str) -> None:
    """T2: what ISO 8601 calls a date without a time is one, and so is the last day of the calendar."""
    assert (first_instant(written), last_instant(written)) == (MIDNIGHT, LAST)
    assert last_instant("9999-12-31") == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["soon", "2024-02-30", "9999-12-31T23:00-05:00", ""])
def test_what_is_no_instant_is_refused_as_usage(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No day of the calendar, or none in UTC: exit code 2, with the form to write."""
    for option in ("--from", "--to"):
        assert main(["parity", option, wrong]) == 2
        assert "write it like 2024-01-31T12:00Z" in capsys.readouterr().err


def test_a_replay_over_dates_has_the_last_slot_of_its_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """T2: over hours, --from and --to 2024-01-02 are the 24 slots from 00:00 to 23:00, and the next 00:00 is none."""
    bars = tmp_path / "h" / "bars" / "1h"
    bars.mkdir(parents=True)
    (tmp_path / "h" / "instruments.csv").write_text("token_id,symbol,name\n1,AAA,AAA\n")
    (tmp_path / "h" / "signals.csv").write_text("token_id,published_at,stance\n")
    opens = (MIDNIGHT - timedelta(days=1) + timedelta(hours=hour) for hour in range(72))
    rows = [f"{at:%Y-%m-%dT%H:%MZ},100,100,100,100,1" for at in opens]
    (bars / "AAA.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    (tmp_path / "s.toml").write_text(
        '[strategy]\nname = "s"\nuniverse = ["AAA"]\n[sizing]\nrule = "fixed_quantity"\nquantity = 1\n'
    )
    arguments = ["--strategy", str(tmp_path / "s.toml"), "--history", str(tmp_path / "h"), "--json"]
    window = ["--from", "2024-01-02", "--to", "2024-01-02"]
    assert main(["replay", *arguments, "--ledger", str(tmp_path / "l.db"), *window]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["slots"] == 24
    assert str(found["slot"]).startswith("2024-01-02T23:00")
