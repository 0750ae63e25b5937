"""Whatever numbers a folder holds, what its pack answers equals what is parsed, and what its text says to the digit."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history.folder import HistoryArchive, open_history
from bot.adapters.history.pack import silent
from bot.adapters.history.packing import pack_history
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.signals import Episode, Signal, Stance
from tests.history_texts import BARS, bar_rows
from tests.notation import HOUR, at

START = at("2024-01-01")
HEADERS = {
    "signals": "token_id,published_at,stance,grade,confidence",
    "levels": "token_id,known_at,level,strength",
    "quantmetrics": "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr",
    "grades": "token_id,known_at,trader_grade,investor_grade",
    "market": "token_id,known_at,market_cap,volume_24h",
}
TOKENS = (1, 22)
Rows = dict[str, list[tuple[str, ...]]]

digits = st.integers(1, 25).flatmap(lambda count: st.text("0123456789", min_size=count, max_size=count))
plain = st.builds(lambda whole, part: f"{int(whole[:18])}.{part[:18]}", digits, digits)
short = st.builds(lambda number, places: str(Decimal(number).scaleb(-places)), st.integers(0, 10**6), st.integers(0, 6))
floats = st.floats(1e-12, 1e12).map(repr)
numbers = st.one_of(plain, short, floats, st.sampled_from(("0", "1e3", "+5", ".5", "7.", "-0", "1E-15")))
shares = st.one_of(st.integers(0, 10**18 - 1).map(lambda part: f"0.{part:018}"), st.sampled_from(("0", "1", "0.50")))
signed = st.builds(lambda sign, number: sign + number.lstrip("+-"), st.sampled_from(("", "-")), numbers)


def stamp(instant: datetime) -> str:
    """Return an instant as a folder may write it."""
    return instant.isoformat()


@st.composite
def cells(draw: st.DrawFn, name: str) -> list[tuple[str, ...]]:
    """Draw what the rows of one instant hold behind token and time: several of levels, one of anything else."""
    cell, positive = st.one_of(st.just(""), signed), st.one_of(st.just(""), numbers)
    if name == "levels":
        prices = draw(st.lists(numbers.filter(lambda one: Decimal(one) > 0), min_size=1, max_size=4, unique=True))
        return [(price, draw(st.one_of(st.just(""), shares))) for price in prices]
    if name == "signals":
        return [(draw(st.sampled_from(list(Stance))).value, draw(cell), draw(cell))]
    if name == "quantmetrics":
        return [(draw(positive), *(draw(cell) for _ in range(4)))]
    return [(draw(positive if name == "market" else cell), draw(positive if name == "market" else cell))]


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Draw the rows of every dated file, each token's in order of time, tokens mixed."""
    found: Rows = {}
    for name in HEADERS:
        rows: list[tuple[str, ...]] = []
        for token in TOKENS:
            for hour in sorted(draw(st.sets(st.integers(0, 50), max_size=4))):
                when = stamp(START + hour * HOUR + draw(st.integers(0, 1)) * MICROSECOND)
                rows += [(str(token), when, *drawn) for drawn in draw(cells(name))]
        found[name] = sorted(rows, key=lambda row: at_text(row[1]))
    return found


def at_text(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text)


def write(folder: Path, rows: Rows) -> None:
    """Write a folder of these rows, with a few bars."""
    (folder / "bars/1h").mkdir(parents=True)
    listing = "".join(f"{token},T{token},Token\n" for token in TOKENS)
    (folder / "instruments.csv").write_text("token_id,symbol,name\n" + listing)
    for number, token in enumerate(TOKENS):
        (folder / f"bars/1h/T{token}.csv").write_text(bar_rows("2024-01-01", 60, first=10 + number) if number else BARS)
    for name, header in HEADERS.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header.split(","), *rows[name]])


@contextmanager
def folders(rows: Rows) -> Iterator[tuple[HistoryArchive, HistoryArchive]]:
    """Open a folder parsed, and packed."""
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(Path(place) / "cache"))
        folder = Path(place) / "history"
        write(folder, rows)
        parsed = open_history(folder, timeframe=None, universe="*")
        assert not (Path(place) / "cache").exists()
        pack_history(folder, silent)
        packed = open_history(folder, timeframe=None, universe="*")
        assert (packed.digest, packed.closes, packed.bars, packed.archive.has_grades) == (
            parsed.digest,
            parsed.closes,
            parsed.bars,
            parsed.archive.has_grades,
        )
        assert packed.archive.has_grades == any(row[3] for row in rows["signals"])
        yield parsed.archive, packed.archive


def exact(cell: str) -> Decimal | None:
    """Read a cell as it is written."""
    return Decimal(cell) if cell else None


def last_of(rows: Rows, name: str, token: int, now: datetime) -> list[tuple[str, ...]]:
    """Return a token's rows of the last instant by now, from the text alone."""
    known = [row for row in rows[name] if row[0] == str(token) and at_text(row[1]) <= now]
    return [list(group) for _, group in groupby(known, key=lambda row: row[1])][-1] if known else []


def expect_measures(rows: Rows, archive: HistoryArchive, token: int, now: datetime) -> None:
    """Compare measures, grades and market sizes with the text."""
    fields = {
        "quantmetrics": (archive.quantmetrics, ("volatility", "sharpe", "sortino", "max_drawdown", "cagr")),
        "grades": (archive.grades, ("trader_grade", "investor_grade")),
        "market": (archive.market, ("market_cap", "volume_24h")),
    }
    for name, (ask, names) in fields.items():
        answer: object = ask(TokenId(token), now, now)
        last = last_of(rows, name, token, now)
        if not last:
            assert answer is None
            continue
        ((_, when, *cells),) = last
        assert [getattr(answer, field) for field in names] == [exact(cell) for cell in cells]
        assert getattr(answer, "known_at", None) == at_text(when)


def expect_levels(rows: Rows, archive: HistoryArchive, token: int, now: datetime) -> None:
    """Compare the set of levels with the text."""
    found = archive.levels(TokenId(token), now, now)
    last = last_of(rows, "levels", token, now)
    expected = sorted(((Decimal(level), exact(strength)) for _, _, level, strength in last), key=lambda one: one[0])
    assert ([(one.price, one.strength) for one in found.levels] if found else []) == expected


def episode_of(rows: Rows, token: int, now: datetime) -> Episode | None:
    """Follow a token's stances through the text."""
    found: Episode | None = None
    for _, when, stance, grade, confidence in (row for row in rows["signals"] if row[0] == str(token)):
        if at_text(when) > now:
            break
        signal = Signal(
            provider="history",
            feed="daily",
            token_id=TokenId(token),
            stance=Stance(stance),
            published_at=at_text(when),
            known_at=at_text(when),
            grade=exact(grade),
            confidence=exact(confidence),
        )
        turn = signal if found is None or found.turn.stance is not signal.stance else found.turn
        found = Episode(signal_id=turn.signal_id, turn=turn, latest=signal)
    return found


@given(tables(), st.lists(st.integers(-1, 52 * 3600), max_size=4))
def test_a_pack_answers_what_the_text_says(rows: Rows, seconds: list[int]) -> None:
    """Every kind of answer, at each instant and just before it, back and forth: parsed, packed, written are equal."""
    instants = {at_text(row[1]) for kind in rows.values() for row in kind}
    asked = {*instants, *(one - MICROSECOND for one in instants), *(START + timedelta(seconds=one) for one in seconds)}
    with folders(rows) as archives:
        for archive in archives:
            for token in TOKENS:
                for now in (*sorted(asked), *sorted(asked, reverse=True)[::3]):
                    expect_measures(rows, archive, token, now)
                    expect_levels(rows, archive, token, now)
                    assert archive.episode(TokenId(token), now, now) == episode_of(rows, token, now)


@given(tables())
def test_turns_are_where_another_episode_begins(rows: Rows) -> None:
    """The instants of the turns are those at which the id of the episode changes."""
    with folders(rows) as archives:
        for archive in archives:
            for token in TOKENS:
                instants = [at_text(row[1]) for row in rows["signals"] if row[0] == str(token)]
                ids = [one.signal_id for now in instants if (one := episode_of(rows, token, now))]
                before = [None, *ids]
                expected = [now for now, one, last in zip(instants, ids, before, strict=False) if one != last]
                assert [EPOCH + turn * MICROSECOND for turn in archive.turns(TokenId(token)).tolist()] == expected


@given(st.lists(st.integers(-5, 80), min_size=1, max_size=8), st.integers(1, 3))
def test_days_are_the_same_in_whatever_order_they_are_asked(hours: list[int], most: int) -> None:
    """Days made one by one, skipped, left behind or asked again equal those that are made afresh."""
    with folders({name: [] for name in HEADERS}) as archives, pytest.MonkeyPatch.context() as patched:
        patched.setattr("bot.adapters.history.folder.DAYS_MAX", most)
        for archive in archives:
            for hour in hours:
                now = START + hour * HOUR
                fresh = HistoryArchive(archive.instruments, archive.columns, archive.dated, {})
                for token in map(TokenId, TOKENS):
                    assert archive.days(token, now, now) == fresh.days(token, now, now)
