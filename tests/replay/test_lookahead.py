"""`bot check --lookahead`: hooks that look ahead or remember are found and named, honest ones are not."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.history.blocks import series_in
from bot.adapters.history.cut import cut_history
from bot.adapters.history.folder import HistoryArchive, open_history
from bot.adapters.history.reader import micros
from bot.app.replay.lookahead import Subject, look
from bot.cli.main import main
from bot.domain.ids import TokenId
from tests.acceptance.history_folders import write_folder
from tests.history_texts import QUANTMETRICS, bar_rows, folder_of
from tests.replay.random_histories import HOUR, START, random_strategy, random_tables

STRATEGY = """
[strategy]
name = "watched"
universe = "*"

[entry]
reentry = "always"

[stop]
rule = "level"
[stop.fallback]
rule = "fraction"
fraction = 0.02

[target]
rule = "fraction"
fraction = 0.02

[sizing]
rule = "fixed_notional"
notional = 500

[limits]
positions_max = 3
"""
HONEST = '''
from dataclasses import replace

LIMITS = {"T1": 3}


def veto(view, bracket):
    """Refuse what fell on its last whole day."""
    return "fell" if view.days and view.days[-1].close < view.days[-1].open else None


def rank(view, bracket):
    """Prefer the dear."""
    return view.price.price


def adjust_bracket(view, bracket):
    """Put the stop a little lower."""
    return replace(bracket, stop=bracket.stop - bracket.stop / 1000)


def extra_exits(view, holding):
    """Leave what rose by one in a hundred."""
    return "manual" if view.price.price > holding.position.entry_price * 101 / 100 else None
'''
# Each passes the check of its source, which is no prison.
HOARDER = '''
import functools


@functools.cache
def _prices(symbol):
    return []


def veto(view, bracket):
    """Refuse what was dearer at any time it was asked about."""
    seen = _prices(view.instrument.symbol)
    seen.append(view.price.price)
    return "was dearer" if max(seen) > view.price.price else None
'''
FAITHFUL = '''
FIRST = ([],)


def rank(view, bracket):
    """Put the first token ever asked about before all others."""
    if not FIRST[0]:
        FIRST[0].append(view.instrument.token_id)
    return 1 if view.instrument.token_id == FIRST[0][0] else 0
'''
FLEEING = '''
def extra_exits(view, holding):
    """Leave at one hour of the day, on which no spread cut falls, if the last day known ended lower than it stands."""
    if view.price.known_at.hour != 14 or not view.days:
        return None
    return "manual" if view.days[-1].close < view.price.price else None
'''
COUNTING = '''
CALLS = ([],)


def extra_exits(view, holding):
    """Leave at every seventh call."""
    CALLS[0].append(1)
    return "manual" if len(CALLS[0]) % 7 == 0 else None
'''
BREAKERS = """
[limits.daily_loss]
at = 0.005
action = "block"
hours = 5

[limits.drawdown]
at = 0.01
action = "flatten"
hours = 9

[limits.loss_streak]
at = 2
action = "tighten"
hours = 4
"""
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random history of several tokens."""
    return write_folder(tmp_path_factory.mktemp("history"), random_tables(3, 1))


@pytest.fixture
def ask(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Check a strategy with hooks of a text by the command line; returns exit code, stdout and stderr."""

    def call(hooks: str | None, *more: str) -> tuple[int, str, str]:
        (tmp_path / "watched.toml").write_text(STRATEGY)
        if hooks is not None:
            (tmp_path / "watched.py").write_text(hooks)
        strategy = ["--strategy", str(tmp_path / "watched.toml")]
        code = main(["check", "--lookahead", *strategy, "--history", str(folder), *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.mark.parametrize("hooks", [HONEST, None])
def test_an_honest_strategy_passes_in_many_cuts(ask: Ask, hooks: str | None) -> None:
    """All four hooks as pure functions, and none: nothing is found in a dozen cuts and hundreds of facts."""
    code, out, err = ask(hooks, "--json")
    (told,) = json.loads(out)
    assert (code, err, told["found"], told["difference"]) == (0, "", False, None)
    assert told["cuts"] >= 12
    assert told["facts"] > 500
    assert ask(hooks)[1] == f"watched: no look-ahead found in {told['cuts']} cuts, {told['facts']} facts compared\n"


@pytest.mark.parametrize("seed", range(4))
def test_accounts_with_a_memory_of_their_own_are_no_finding(seed: int, tmp_path: Path) -> None:
    """Breakers, streaks and moving stops live in the portfolio, which a run taken up again goes on from."""
    text = random_strategy(seed, "breaking").replace("[exits]\nrules = [", '[exits]\nrules = ["trailing_stop", ')
    text = text.replace("[exits]", "[exits]\ntrailing_fraction = 0.02")
    (tmp_path / "breaking.toml").write_text(text + BREAKERS)
    folder = write_folder(tmp_path / "history", random_tables(seed, 1))
    found = look(Subject(tmp_path / "breaking.toml"), folder, (None, None))
    assert (found.difference, found.facts > 300) == (None, True)


@pytest.mark.parametrize(
    ("hooks", "how", "hook"),
    [
        (HOARDER, "cut", "veto"),
        (FAITHFUL, "restarted", "rank"),
        (COUNTING, "restarted", "extra_exits"),
    ],
)
def test_hooks_that_keep_something_are_found_and_named(ask: Ask, hooks: str, how: str, hook: str) -> None:
    """What a hook kept of later prices shows in a cut, what it kept of earlier calls in a run taken up again."""
    code, out, err = ask(hooks, "--json")
    (told,) = json.loads(out)
    found: dict[str, Any] = told["difference"]
    assert (code, err, told["found"], found["how"]) == (65, "", True, how)
    assert found["whole"] != found["other"]
    assert found["answer"].startswith(f"hook {hook} on T")
    assert (found["slot"] <= found["at"]) == (how == "cut")
    code, out, _ = ask(hooks)
    assert (code, out.count("\n")) == (65, 1)
    assert out.startswith("watched: looks ahead or remembers: 2024-01-")
    assert f"hook {hook} on T" in out


def test_an_archive_that_answers_too_early_is_found(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices of the next hour, in the engine's own archive: the last candle of a cut betrays it, without any hook."""
    honest = HistoryArchive.price

    def early(self: HistoryArchive, token_id: TokenId, as_of: datetime, cut_off: datetime) -> object:
        return honest(self, token_id, as_of + HOUR, cut_off + HOUR)

    monkeypatch.setattr(HistoryArchive, "price", early)
    code, out, _ = ask(None)
    assert code == 65
    assert "in the history cut at" in out
    assert "no hook was asked, or all answered the same" in out


def test_a_hook_that_is_shown_the_day_that_goes_on_is_found(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """With days that end a day later than they may, the cut at its own answer betrays the hook that rarely answers."""
    honest = HistoryArchive.days

    def early(self: HistoryArchive, token_id: TokenId, as_of: datetime, cut_off: datetime) -> object:
        return honest(self, token_id, as_of + 24 * HOUR, cut_off + 24 * HOUR)

    assert ask(FLEEING)[0] == 0
    monkeypatch.setattr(HistoryArchive, "days", early)
    code, out, _ = ask(FLEEING)
    assert code == 65
    assert "hook extra_exits on T" in out


def test_a_cut_holds_nothing_that_was_not_known(folder: Path) -> None:
    """The columns and the rows of a cut end with it, whoever asks for what instant."""
    history = open_history(folder, timeframe="1h", universe="*")
    at = START + 30 * HOUR
    cut, late = cut_history(history, at), at + timedelta(days=900)
    assert cut.closes[-1] == at
    assert cut.bars < history.bars
    for token_id, columns in cut.archive.columns.items():
        assert columns.opened_at.base is columns.prices.base
        assert columns.prices.base.shape[1] == len(columns.opened_at)  # type: ignore[union-attr]
        assert not len(columns.opened_at) or columns.opened_at[-1] + columns.span <= micros(at)
        for blocks in cut.archive.dated.values():
            series = series_in(blocks).get(token_id)
            assert series is None or series.at[-1] <= micros(at)
        for name in ("levels", "grades", "quantmetrics", "episode", "price"):
            asked, whole = getattr(cut.archive, name), getattr(history.archive, name)
            assert asked(token_id, late, late) == whole(token_id, at, at)


def test_a_cut_ends_the_finer_bars_too(tmp_path: Path) -> None:
    """Of minutes that decide what an hour left open there are those closed by the cut."""
    minutes = {f"bars/1m/{symbol}.csv": bar_rows("2024-01-01", 120, timedelta(minutes=1)) for symbol in ("BTC", "ETH")}
    history = open_history(folder_of(tmp_path, minutes), timeframe="1h", universe="*", finer=True)
    cut = cut_history(history, START + HOUR)
    for (whole,), (known,) in zip(history.archive.inner.values(), cut.archive.inner.values(), strict=True):
        assert (len(whole.opened_at), len(known.opened_at)) == (120, 60)


def test_numbers_that_no_float_names_are_cut_exactly(tmp_path: Path) -> None:
    """Twenty digits before the cut and after it, in several columns: those before stay as they were written."""
    rows = [f"3375,2024-01-01T0{hour}:00:00Z,0.{hour}{'1' * 19},,1.{hour}{'2' * 19},{hour},\n" for hour in range(1, 7)]
    folder = folder_of(tmp_path, {"quantmetrics.csv": QUANTMETRICS + "".join(rows)})
    history = open_history(folder, timeframe="1h", universe="*")
    cut = cut_history(history, START + 3 * HOUR).archive
    for hour in range(5):
        at = min(START + hour * HOUR, START + 3 * HOUR)
        asked = cut.quantmetrics(TokenId(3375), START + hour * HOUR, START + hour * HOUR)
        assert asked == history.archive.quantmetrics(TokenId(3375), at, at)
    assert asked is not None
    assert str(asked.sortino) == "1.3" + "2" * 19


def test_each_strategy_of_a_configuration_is_looked_at(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --strategy those that runs name, each once, and one that remembers is enough for 65."""
    (tmp_path / "strategies").mkdir()
    for name, hooks in (("watched", HONEST), ("other", HOARDER)):
        (tmp_path / "strategies" / f"{name}.toml").write_text(STRATEGY.replace("watched", name))
        (tmp_path / "strategies" / f"{name}.py").write_text(hooks)
    runs = [
        f'[[run]]\nname = "{name}_{number}"\nstrategy = "{name}"\ncash = 100\nschedule = "0 * * * *"\n'
        for number, name in enumerate(("watched", "other", "watched"))
    ]
    (tmp_path / "config.toml").write_text("\n".join(runs))
    given = ["--config", str(tmp_path / "config.toml"), "--history", str(folder), "--json"]
    assert main(["check", "--lookahead", *given, "--to", "2024-01-02T00:00Z"]) == 65
    told = json.loads(capsys.readouterr().out)
    assert [(one["strategy"], one["found"]) for one in told] == [("watched", False), ("other", True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lookahead"], "add --history DIR"),
        (["--history", "h"], "go with --lookahead"),
        (["--strategy", "s"], "go with --lookahead"),
        (["--from", "2024-01-01"], "go with --lookahead"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error of one line."""
    assert main(["check", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_window_bounds_what_is_replayed(tmp_path: Path, folder: Path) -> None:
    """A day has fewer facts than the whole, and its cuts lie within it."""
    path = tmp_path / "watched.toml"
    path.write_text(STRATEGY)
    day = look(Subject(path), folder, (None, START + 24 * HOUR))
    assert 0 < day.facts < look(Subject(path), folder, (None, None)).facts
    assert day.difference is None


@pytest.mark.parametrize(
    ("end", "said"),
    [("2024-01-01T01:00Z", "this window has not a slot to cut at"), ("2024-01-01T02:00Z", "has not a candidate")],
)
def test_a_window_in_which_nothing_is_decided_proves_nothing(ask: Ask, end: str, said: str) -> None:
    """One slot, or two without a candidate: refused with the mend, for nothing was looked at."""
    code, out, err = ask(None, "--to", end)
    assert (code, out, err.count("\n")) == (78, "", 1)
    assert said in err
    assert err.endswith("so nothing was looked at: widen --from and --to\n")
