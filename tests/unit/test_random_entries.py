"""Random entries: spells turned round a circle of time, and what a run's return is worth beside theirs."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bot.adapters.history.blocks import DatedRows, series_in
from bot.adapters.history.dated import SIGNALS as SIGNALS_FILE
from bot.adapters.history.pack import Words
from bot.app.replay.random_entries import rotate_stances
from bot.cli.main import main
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.signals import Episode, Stance
from bot.figures.luck import figures_of_random_runs
from bot.figures.performance import Figure
from tests.history_texts import BARS, SIGNALS, opened
from tests.notation import HOUR, at

START = at("2024-01-01")
HOURS = 400
SLOTS = [START + hour * HOUR for hour in range(1, HOURS + 1)]
TOKEN = TokenId(3375)
ETH, NONE = TokenId(3306), TokenId(7)
ROWS = (("10", "bullish"), ("14", "bearish"), ("20", "neutral"), ("22", "bullish"))
Spell = tuple[Stance, timedelta]
Rows = Mapping[str, Words]


def series_of(tmp_path: Path, turns: str, *, grades: bool = False) -> Rows:
    """Read signals of one token written as `hour stance, hour stance`; a grade is its row's hour, with many digits."""
    lines = []
    for hour, stance in (row.split() for row in turns.split(", ")):
        grade = f"{hour}.{'1' * 20}" if grades else ""
        lines.append(f"3375,{START + int(hour) * HOUR:%Y-%m-%dT%H:%M:%SZ},{stance},{grade}\n")
    history = opened(tmp_path, {"signals.csv": SIGNALS + "".join(lines)})
    return history.archive.dated["signals"]


def newest(rows: Rows, now: datetime) -> Episode | None:
    """Return the episode of the token that stands at an instant."""
    return DatedRows(rows, SIGNALS_FILE.make).newest(TOKEN, now, now)


def values(rows: Rows) -> dict[datetime, Episode]:
    """Return the episode that stands from each row of the token on."""
    found = {}
    for instant in (EPOCH + int(moment) * MICROSECOND for moment in series_in(rows)[TOKEN].at):
        episode = newest(rows, instant)
        assert episode is not None
        found[instant] = episode
    return found


def spells(rows: Rows, begin: datetime, end: datetime) -> list[Spell]:
    """Return each stance with how long it stood between two instants."""
    turns = {max(one.turn.known_at, begin): one.turn.stance for one in values(rows).values()}
    starts = sorted(turn for turn in turns if turn < end)
    return [(turns[turn], after - turn) for turn, after in pairwise([*starts, end])]


def draws(rows: Rows, count: int) -> list[Rows]:
    """Turn a series so many times."""
    bits = np.random.PCG64(3)
    return [rotate_stances(rows, [TOKEN], SLOTS, bits) for _ in range(count)]


def turns(found: list[Spell]) -> Counter[Stance]:
    """Count the turns that a strategy may act on."""
    return Counter(stance for stance, _ in found if stance is not Stance.NEUTRAL)


def test_spells_keep_their_number_their_length_and_their_neighbours(tmp_path: Path) -> None:
    """All but the one that the ends cut in two, whose rest is neutral: as many turns, at other instants."""
    rows = series_of(tmp_path, "10 bullish, 30 bearish, 33 neutral, 90 bullish, 180 bearish, 300 neutral")
    begin, end = START + 10 * HOUR, SLOTS[-1]
    real = spells(rows, begin, end)
    firsts: Counter[datetime] = Counter()
    for drawn in draws(rows, 60):
        found = spells(drawn, begin, end)
        assert turns(found) == turns(real)
        assert found[0][0] is Stance.NEUTRAL
        whole = [spell for spell in found[1:-1] if spell not in real]
        assert whole == []
        circle = [stance for stance, _ in real] * 2
        order = [stance for stance, _ in found[1:]]
        assert any(order == circle[place : place + len(order)] for place in range(6))
        known = values(drawn)
        firsts[next(at for at, one in known.items() if one.turn.stance is Stance.BULLISH)] += 1
        assert min(known) == begin
        assert known.keys() <= {begin, *SLOTS}
    assert len(firsts) > 20


def test_the_last_spell_and_the_first_join_where_they_are_of_one_stance(tmp_path: Path) -> None:
    """Then there is one turn less, unless the ends of the circle part them; there is never one more."""
    rows = series_of(tmp_path, "10 bullish, 30 bearish, 300 bullish")
    found = [turns(spells(drawn, START + 10 * HOUR, SLOTS[-1])) for drawn in draws(rows, 30)]
    assert {one[Stance.BEARISH] for one in found} == {1}
    assert {one[Stance.BULLISH] for one in found} == {1, 2}


def test_grades_stay_where_they_were(tmp_path: Path) -> None:
    """A row that is drawn has the grade of the real row that stood then, and real rows keep their instants."""
    rows = series_of(tmp_path, "10 bullish, 60 bearish, 200 bullish", grades=True)
    for drawn in draws(rows, 20):
        assert values(rows).keys() <= values(drawn).keys()
        for instant, episode in values(drawn).items():
            standing = newest(rows, instant)
            assert standing is not None
            assert episode.latest.grade == standing.latest.grade is not None
            assert episode.latest.published_at == episode.latest.known_at == instant


def test_what_stood_at_the_first_slot_stays(tmp_path: Path) -> None:
    """An episode from before the slots is the same one, as old as it was; turns after the last slot do not count."""
    rows = series_of(tmp_path, "1 bearish, 5 bullish, 150 bearish, 200 bullish, 390 bearish")
    slots = SLOTS[100:300]
    bits = np.random.PCG64(3)
    for _ in range(30):
        drawn = rotate_stances(rows, [TOKEN], slots, bits)
        for hour in (4, 5, 101, 149):
            assert newest(drawn, START + hour * HOUR) == newest(rows, START + hour * HOUR)
        (first, *following) = spells(drawn, START + 150 * HOUR, slots[-1])
        assert first[0] is Stance.NEUTRAL
        assert turns(following) == {Stance.BULLISH: 1, Stance.BEARISH: 1}
        assert max(values(drawn)) < slots[-1]


def test_without_a_turn_at_the_slots_nothing_is_drawn(tmp_path: Path) -> None:
    """A token that only turned before the first slot keeps its rows, and so does one that only turns after the last."""
    rows = series_of(tmp_path, "1 bearish, 5 bullish, 390 bearish")
    assert values(rotate_stances(rows, [TOKEN], SLOTS[100:300], np.random.PCG64(3))) == values(rows)


def test_each_token_is_turned_for_itself(tmp_path: Path) -> None:
    """Two tokens with the same rows part, and the order in which they are named does not matter."""
    lines = [f"{token},2024-01-01T{hour}:00:00Z,{stance},\n" for token in (3375, 3306) for hour, stance in ROWS]
    rows = opened(tmp_path, {"signals.csv": SIGNALS + "".join(lines)}).archive.dated["signals"]
    names = ([TOKEN, ETH, NONE], [NONE, ETH, TOKEN])
    found, turned = (series_in(rotate_stances(rows, named, SLOTS, np.random.PCG64(3))) for named in names)
    for token in (TOKEN, ETH):
        assert found[token].at.tolist() == turned[token].at.tolist()
    assert found[TOKEN].at.tolist() != found[ETH].at.tolist()
    assert NONE not in found


def test_where_there_is_no_choice_nothing_is_drawn(tmp_path: Path) -> None:
    """A token whose first row comes with the last slot, or after it, keeps its rows."""
    rows = series_of(tmp_path, "400 bullish, 500 bearish", grades=True)
    (drawn,) = draws(rows, 1)
    assert values(drawn) == values(rows)


def test_figures_are_those_of_the_returns() -> None:
    """Median, the two tails, and the share that a run beats: by hand of five runs, one without a ratio."""
    drawn = [
        {"total_return": Figure(value), "sharpe": Figure(ratio)}
        for value, ratio in ((0.1, 1.0), (-0.2, None), (0.0, -1.0), (0.3, 2.0), (0.2, 0.5))
    ]
    found = {name: figure.value for name, figure in figures_of_random_runs(drawn, Figure(0.2)).items()}
    assert found == pytest.approx(
        {
            "random_runs": 5,
            "random_return_median": 0.1,
            "random_return_low": -0.16,
            "random_return_high": 0.28,
            "random_sharpe_median": 0.75,
            "random_beaten": 0.6,
        }
    )
    alone = figures_of_random_runs(drawn[1:2], Figure(reason="no mark of equity"))
    assert alone["random_beaten"] == Figure(reason="no mark of equity")
    assert alone["random_sharpe_median"] == Figure(reason="none of the random runs has a Sharpe ratio")


STRATEGY = """
[strategy]
name = "seer"
universe = ["BTC"]

[stop]
rule = "fraction"
fraction = 0.5

[target]
rule = "none"

[sizing]
rule = "fixed_fraction"
fraction = 0.5

[exits]
rules = ["signal_flipped"]
"""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Write a history that rises and falls by turns of 20 hours, called rightly each time."""
    price, lines, signals = 100.0, [], []
    for hour in range(HOURS):
        rising = hour // 20 % 2 == 1
        if hour % 20 == 0:
            signals.append(f"3375,{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{'bullish' if rising else 'bearish'},\n")
        close = round(price * (1.01 if rising else 1 / 1.01), 6)
        low, high = sorted((price, close))
        lines.append(f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{price},{high},{low},{close},1\n")
        price = close
    opened(tmp_path, {"signals.csv": SIGNALS + "".join(signals), "bars/1h/BTC.csv": BARS + "".join(lines)})
    (tmp_path / "seer.toml").write_text(STRATEGY)
    return tmp_path


def asked(place: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, object]:
    """Replay the history of a place; returns the statistics."""
    given = ["--strategy", str(place / "seer.toml"), "--history", str(place / "history"), "--json", *more]
    assert main(["replay", *given]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)["statistics"]
    return found


def hashes(path: Path) -> list[tuple[str, str]]:
    """Return the chain of a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select slot, hash from cycles order by slot").fetchall()


def test_a_seer_beats_chance_and_a_contrarian_does_not(seen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right calls beat nearly all turned ones, wrong calls almost none; draws and ledger are the same each time."""
    plain, drawn, again = (str(seen / f"{name}.db") for name in ("plain", "drawn", "again"))
    asked(seen, capsys, "--ledger", plain)
    found = asked(seen, capsys, "--ledger", drawn, "--random-entries", "20")
    assert found == asked(seen, capsys, "--ledger", again, "--random-entries", "20")
    assert hashes(Path(plain)) == hashes(Path(drawn))
    assert found["random_runs"] == 20
    assert isinstance(found["random_beaten"], float)
    assert 0.8 < found["random_beaten"] <= 1
    low, middle, high = (found[f"random_return_{name}"] for name in ("low", "median", "high"))
    assert isinstance(low, float)
    assert isinstance(middle, float)
    assert isinstance(high, float)
    assert low < middle < high
    assert low < 0 < high
    path = seen / "history" / "signals.csv"
    swapped = path.read_text().replace("bullish", "b").replace("bearish", "bullish").replace("b,", "bearish,")
    path.write_text(swapped)
    wrong = asked(seen, capsys, "--ledger", str(seen / "wrong.db"), "--random-entries", "20")
    assert isinstance(wrong["random_beaten"], float)
    assert wrong["random_beaten"] < 0.2


def test_no_run_enters_where_the_own_run_cannot(seen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token that has been bullish for long is no entry at --from, nor in any of the random runs."""
    calls = ((START, "bullish"), (START + 300 * HOUR, "bearish"))
    told = [f"3375,{called:%Y-%m-%dT%H:%M:%SZ},{stance},\n" for called, stance in calls]
    (seen / "history" / "signals.csv").write_text(SIGNALS + "".join(told))
    window = ["--from", f"{START + 200 * HOUR:%Y-%m-%dT%H:%MZ}", "--random-entries", "20"]
    found = asked(seen, capsys, "--ledger", str(seen / "late.db"), *window)
    assert [found[name] for name in ("total_return", "random_return_low", "random_return_high")] == [0, 0, 0]


def test_without_the_option_nothing_is_said_of_random_entries(seen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody asked: neither figures nor reasons."""
    found = asked(seen, capsys, "--ledger", str(seen / "plain.db"))
    assert "sharpe" in found
    assert not [name for name in (*found, *found["reasons"]) if name.startswith("random_")]
