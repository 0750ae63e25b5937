"""What the daemon does with a turn that fails, and how a single cycle chooses its run and slot."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from bot.app.live.daemon import Daemon, choose_run, report, slot_of, summarise
from bot.app.live.logs import set_up_logs
from bot.app.settings.config import Config, RunConfig, SourceConfig, VerifyConfig
from bot.domain.errors import BotError, ConfigError, InvariantError, LeaseError, UpstreamError, UsageError
from bot.domain.events import EventKind, EventState, RunEvent
from bot.domain.ids import RunName, TokenId
from bot.domain.record import FailedTry
from bot.domain.tape import Refusal
from bot.engine.rules import PriceRule, Rules, SizeRule, SizingRules, StopRules
from tests.notation import Tape, Token, at, bars, cycles, signal


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Collect log lines as JSON."""
    caught = io.StringIO()
    monkeypatch.setattr(sys, "stderr", caught)
    set_up_logs()
    yield lambda: [json.loads(line) for line in caught.getvalue().splitlines()]
    structlog.reset_defaults()


class Failing:
    """A runner whose every firing fails in one way."""

    def __init__(self, error: Exception) -> None:
        """Fail with this."""
        self.error = error
        self.setup = SimpleNamespace(name="failing")
        self.portfolio = SimpleNamespace(settled_slot=None)

    def fire(self, *_: object) -> None:
        """Fail."""
        raise self.error


def daemon_of(error: Exception) -> tuple[Daemon, object]:
    """Make a daemon over one failing run."""
    run = SimpleNamespace(schedule="* * * * *", runner=Failing(error))
    kept: list[FailedTry] = []
    book = SimpleNamespace(keep_try=kept.append, kept=kept)
    daemon = Daemon(SimpleNamespace(runs=(run,), book=book), lambda: at("2024-01-01 12:00"))  # type: ignore[arg-type]
    daemon.stopping.wait = lambda _seconds: False  # type: ignore[method-assign, assignment]
    return daemon, run


@pytest.mark.parametrize("error", [UpstreamError("provider is down"), KeyError("a bug")])
def test_a_failed_cycle_is_told_and_the_daemon_goes_on(
    error: Exception, lines: Callable[[], list[dict[str, object]]]
) -> None:
    """S15: an expected failure and a bug are tried three times, each a row and a log line, and nothing stops."""
    daemon, run = daemon_of(error)
    daemon.turn(run)  # type: ignore[arg-type]
    assert not daemon.stopping.is_set()
    assert [line["event"] for line in lines()] == ["cycle_failed"] * 3
    kept = daemon.opened.book.kept  # type: ignore[union-attr]
    reason = str(error) if isinstance(error, BotError) else type(error).__name__
    assert [(one.slot, one.attempt, one.reason) for one in kept] == [
        (at("2024-01-01 12:00"), number, reason) for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("error", [InvariantError("contradiction"), LeaseError("overtaken")])
def test_a_broken_invariant_or_a_lost_lease_stops_the_daemon(error: BotError) -> None:
    """The daemon stops and keeps the error, so that the process ends with its exit code."""
    daemon, run = daemon_of(error)
    daemon.turn(run)  # type: ignore[arg-type]
    assert daemon.stopping.is_set()
    assert daemon.fatal is error
    with pytest.raises(type(error)):
        daemon.serve()


def test_a_failed_feed_is_reported_beside_its_cycle(lines: Callable[[], list[dict[str, object]]]) -> None:
    """A committed cycle whose optional feed failed and whose rows were refused says all three."""
    records, _ = cycles(RULES, TAPE)
    refused = "resistance-support", Refusal(TokenId(3375), "level", "not_positive", "0", whole=False)
    opened = SimpleNamespace(sources={"any": SimpleNamespace(failures=("quantmetrics: 500",), refusals=(refused,))})
    report(records[0], opened)  # type: ignore[arg-type]
    assert [line["event"] for line in lines()] == ["cycle", "feeds_failed", "rows_refused"]


def test_what_happened_to_a_run_is_a_notice(lines: Callable[[], list[dict[str, object]]]) -> None:
    """Each event of a committed cycle is a warning with its run, name, state and words."""
    records, _ = cycles(RULES, TAPE)
    quiet = SimpleNamespace(sources={"any": SimpleNamespace(failures=(), refusals=())})
    report(replace(records[0], facts=(*records[0].facts, TRIPPED)), quiet)  # type: ignore[arg-type]
    _, notice = lines()
    named = {name: notice[name] for name in ("event", "level", "run", "name", "state", "notice")}
    assert named == {
        "event": "notice",
        "level": "warning",
        "run": "test",
        "name": "drawdown",
        "state": "tripped",
        "notice": "drawdown 0.2 reached 0.2: no new entries",
    }


TRIPPED = RunEvent(
    run=RunName("test"),
    slot=at("2024-01-01 01:00"),
    number=0,
    kind=EventKind.BREAKER,
    name="drawdown",
    state=EventState.TRIPPED,
    notice="drawdown 0.2 reached 0.2: no new entries",
)
RULES = Rules(
    name="told",
    stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
)
TAPE = Tape({1: Token(bars=bars("2024-01-01", "100 | 100"), signals=[signal("2024-01-01 01:00", "bullish")])})


def test_a_cycle_is_told_with_its_orders() -> None:
    """The head counts, and each order has its role, quantity and price."""
    records, _ = cycles(RULES, TAPE)
    assert summarise(records[0], TAPE.instruments) == [
        "test 2024-01-01 01:00Z committed: 1 entries, 0 exits, 0 rejections",
        "  T1 entry order: 10 at 100",
        "  T1 stop order: 10 at 95",
    ]
    assert summarise(records[1], TAPE.instruments)[1] == "  T1 entry filled: 10 at 100.07"


def test_a_cycle_is_told_with_what_happened_to_its_run() -> None:
    """A notice comes before the orders."""
    records, _ = cycles(RULES, TAPE)
    lines = summarise(replace(records[0], facts=(*records[0].facts, TRIPPED)), TAPE.instruments)
    assert lines[1:3] == ["  drawdown 0.2 reached 0.2: no new entries", "  T1 entry order: 10 at 100"]


def config_of(*names: str) -> Config:
    """Make a configuration with runs of these names."""
    source = SourceConfig(
        provider="tokenmetrics",
        base_url="http://localhost/v2",
        api_version="v2",
        key_file=None,
        requests_per_minute=60,
        credits_per_month=None,
    )
    runs = tuple(RunConfig(name=name, strategy="s", cash=Decimal(1), schedule="0 * * * *") for name in names)
    verify = VerifyConfig(parity=None, window_hours=24)
    return Config(path=Path("config.toml"), ledger="x.db", source=source, runs=runs, verify=verify)


def test_the_run_is_the_only_one_or_the_one_named() -> None:
    """One run needs no name, several need one, and an unknown name is refused with those there are."""
    assert choose_run(config_of("only"), None) == "only"
    assert choose_run(config_of("a", "b"), "b") == "b"
    with pytest.raises(UsageError, match="--run"):
        choose_run(config_of("a", "b"), None)
    with pytest.raises(ConfigError, match="a, b"):
        choose_run(config_of("a", "b"), "c")


def test_the_slot_is_the_newest_or_the_one_asked_for() -> None:
    """The newest of the schedule, one given that has come, none that has not, none of a schedule that never fires."""
    now = at("2024-01-01 12:30")
    assert slot_of("0 * * * *", None, now) == at("2024-01-01 12:00")
    assert slot_of("0 * * * *", at("2024-01-01 10:00"), now) == at("2024-01-01 10:00")
    with pytest.raises(UsageError, match="not come"):
        slot_of("0 * * * *", at("2024-01-02"), now)
    with pytest.raises(ConfigError, match="no slot yet"):
        slot_of("0 0 30 2 *", None, now)
