"""The live archive: answers as of a slot and a cut-off, which nothing that comes later can change."""

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.adapters.shelf.archive import MemoryArchive
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics, one_price
from bot.domain.numbers import Price
from bot.domain.signals import Signal, Stance
from bot.domain.tape import QUOTE, Datum, TokenPrint
from tests.notation import latest_episode

TOKEN = TokenId(7)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BULLISH, BEARISH, NEUTRAL = Stance.BULLISH, Stance.BEARISH, Stance.NEUTRAL


def at(text: str) -> datetime:
    """Read an instant of April 2025: `10` or `10 06:30`."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2025-04-{day}T{clock or '00:00'}+00:00")


def archive(*data: Datum) -> MemoryArchive:
    """Make an archive of one token that was told all this."""
    made = MemoryArchive({TOKEN: Instrument(token_id=TOKEN, symbol=Symbol("SEV"), name="Seven")})
    for datum in data:
        made.add(datum)
    return made


def signal(published: str, stance: Stance, known: str | None = None, feed: str = "daily") -> Signal:
    """Make a signal row, known as it is published unless told otherwise."""
    return Signal(
        provider="tokenmetrics",
        feed=feed,
        token_id=TOKEN,
        stance=stance,
        published_at=at(published),
        known_at=at(known or published),
    )


def bar(opened: datetime, close: str, timeframe: str = "1h", known: datetime | None = None) -> TokenPrint:
    """Make a flat bar, known as it closes unless told otherwise."""
    closed = opened + (HOUR if timeframe == "1h" else DAY)
    price = Price(Decimal(close))
    return TokenPrint(
        token_id=TOKEN,
        timeframe=timeframe,
        known_at=known or closed,
        bar=Bar(opened, closed, price, price, price, price),
    )


def quote(when: str, close: str) -> TokenPrint:
    """Make a quote."""
    bar = one_price(at(when), Price(Decimal(close)))
    return TokenPrint(token_id=TOKEN, timeframe=QUOTE, known_at=at(when), bar=bar)


def levels(published: str, known: str, *prices: int) -> LevelSet:
    """Make a set of levels."""
    found = tuple(Level(Price(Decimal(price))) for price in prices)
    return LevelSet(token_id=TOKEN, published_at=at(published), known_at=at(known), levels=found)


def grades(published: str, trader: int | None, investor: int | None) -> Grades:
    """Make grades known as they are published."""
    return Grades(
        token_id=TOKEN,
        published_at=at(published),
        known_at=at(published),
        trader_grade=None if trader is None else Decimal(trader),
        investor_grade=None if investor is None else Decimal(investor),
    )


def test_an_episode_starts_at_its_turn_and_goes_on() -> None:
    """The first stance is a turn, the same stance goes on, another one begins the next episode."""
    kept = archive(signal("10", BULLISH), signal("11", BULLISH), signal("12", BEARISH))
    standing = kept.episode(TOKEN, at("11 12:00"), at("11 12:00"))
    assert standing is not None
    assert (standing.turn, standing.latest) == (signal("10", BULLISH), signal("11", BULLISH))
    assert standing.signal_id == signal("10", BULLISH).signal_id
    later = kept.episode(TOKEN, at("12"), at("12"))
    assert later is not None
    assert later.turn == signal("12", BEARISH)
    assert kept.episode(TOKEN, at("09"), at("09")) is None


def test_a_day_row_had_early_counts_from_when_we_had_it() -> None:
    """A row whose day has not ended is available from the first slot after we had it, and keeps its identity."""
    kept = archive(signal("12", BULLISH, known="11 10:00"))
    assert kept.episode(TOKEN, at("11 09:59"), at("11 10:30")) is None
    assert kept.episode(TOKEN, at("11 10:30"), at("11 09:59")) is None
    standing = kept.episode(TOKEN, at("11 11:00"), at("11 11:00"))
    assert standing is not None
    assert standing.turn.published_at == at("12")


def test_the_same_row_again_says_nothing_and_a_revision_does() -> None:
    """Same publication and stance: dropped; another stance is kept and never changes an earlier cut-off."""
    kept = archive(signal("10", BULLISH))
    before = kept.episode(TOKEN, at("10 12:00"), at("10 12:00"))
    assert not kept.add(signal("10", BULLISH, known="10 13:00"))
    assert kept.add(signal("10", BEARISH, known="10 14:00"))
    assert kept.episode(TOKEN, at("10 12:00"), at("10 12:00")) == before
    revised = kept.episode(TOKEN, at("10 15:00"), at("10 15:00"))
    assert revised is not None
    assert revised.turn.stance is BEARISH


def test_the_quick_fold_is_the_plain_fold() -> None:
    """Random rows, late and revised, in random order: every answer is the fold of what was available."""
    chance = random.Random(11)
    for _ in range(40):
        rows = []
        for number in range(25):
            published = at("01") + number // 2 * DAY
            known = published + chance.choice([-5, 0, 1, 30, 200]) * HOUR + number * timedelta(seconds=1)
            stance = chance.choice([BULLISH, BULLISH, BEARISH, NEUTRAL])
            rows.append(
                Signal(
                    provider="p", feed="daily", token_id=TOKEN, stance=stance, published_at=published, known_at=known
                )
            )
        kept = archive()
        added = [row for row in sorted(rows, key=lambda row: row.known_at) if kept.add(row)]
        for hours in range(0, 24 * 20, 7):
            as_of = at("01") + hours * HOUR
            cut_off = as_of + chance.choice([0, 2]) * HOUR
            usable = [r for r in added if min(r.published_at, r.known_at) <= as_of and r.known_at <= cut_off]
            expected = latest_episode(sorted(usable, key=lambda row: (row.published_at, row.known_at)))
            assert kept.episode(TOKEN, as_of, cut_off) == expected


def test_feeds_do_not_mix() -> None:
    """An hourly signal is no part of the daily episodes; the view of the other feed sees it, added later too."""
    kept = archive(signal("10", BULLISH))
    hourly = kept.of_feed("hourly")
    kept.add(signal("10 05:00", BEARISH, feed="hourly"))
    for view, stance in ((kept, BULLISH), (hourly, BEARISH)):
        standing = view.episode(TOKEN, at("11"), at("11"))
        assert standing is not None
        assert standing.turn.stance is stance
    assert kept.newest_signal(TOKEN, "hourly") == signal("10 05:00", BEARISH, feed="hourly")


def test_old_signal_rows_go_and_the_turn_stays() -> None:
    """An episode longer than what is kept still has its turn and its id."""
    kept = archive()
    first = at("01")
    for number in range(5000):
        when = first + number * HOUR
        kept.add(Signal(provider="p", feed="daily", token_id=TOKEN, stance=BULLISH, published_at=when, known_at=when))
    last = first + 5000 * HOUR
    standing = kept.episode(TOKEN, last, last)
    assert standing is not None
    assert standing.turn.published_at == first


def test_levels_are_the_newest_available_and_repaint_only_the_future() -> None:
    """A repainted set is another answer from its known_at on; the unchanged one is dropped, a new day's is not."""
    kept = archive(levels("10", "10 01:00", 90, 110))
    assert not kept.add(levels("10", "10 02:00", 90, 110))
    assert kept.add(levels("10", "10 06:00", 91, 110))
    assert kept.add(levels("11", "11 01:00", 91, 110))
    assert kept.levels(TOKEN, at("10 05:00"), at("10 05:00")) == levels("10", "10 01:00", 90, 110)
    assert kept.levels(TOKEN, at("10 07:00"), at("10 07:00")) == levels("10", "10 06:00", 91, 110)
    assert kept.levels(TOKEN, at("12"), at("12")) == levels("11", "11 01:00", 91, 110)
    assert kept.levels(TOKEN, at("12"), at("10 00:30")) is None


def test_measures_and_sizes_are_the_newest_known() -> None:
    """Quantmetrics and market sizes are answered by what was known at the cut-off."""
    metrics = QuantMetrics(
        token_id=TOKEN,
        published_at=at("10"),
        known_at=at("10 01:00"),
        volatility=Decimal("0.5"),
        sharpe=None,
        sortino=None,
        max_drawdown=None,
        cagr=None,
    )
    size = MarketSize(token_id=TOKEN, known_at=at("10 01:00"), market_cap=Decimal(5), volume_24h=None)
    kept = archive(metrics, size)
    assert kept.quantmetrics(TOKEN, at("10 02:00"), at("10 02:00")) == metrics
    assert kept.quantmetrics(TOKEN, at("10 02:00"), at("10 00:30")) is None
    assert kept.market(TOKEN, at("10 00:59"), at("10 01:00")) == size
    assert kept.market(TOKEN, at("10"), at("10")) is None


def test_a_grade_that_is_missing_comes_from_a_recent_row_and_brings_its_age() -> None:
    """The investor grade of yesterday fills today's gap and dates the answer; one of last week does not."""
    kept = archive(grades("10", 60, 70), grades("11", 65, None))
    found = kept.grades(TOKEN, at("11"), at("11"))
    assert found is not None
    assert (found.trader_grade, found.investor_grade) == (Decimal(65), Decimal(70))
    assert found.published_at == at("10")
    kept.add(grades("20", 66, None))
    alone = kept.grades(TOKEN, at("20"), at("20"))
    assert alone == grades("20", 66, None)


def test_the_price_is_the_newest_of_quotes_and_closes() -> None:
    """A close counts at its closing and only if it closed by the slot; a quote may be newer than the slot."""
    kept = archive(bar(at("10 08:00"), "100"), quote("10 08:30", "101"), bar(at("10 09:00"), "102"))
    found = kept.price(TOKEN, at("10 09:30"), at("10 10:30"))
    assert found is not None
    assert (found.price, found.known_at) == (Decimal(100), at("10 09:00"))
    found = kept.price(TOKEN, at("10 10:00"), at("10 10:00"))
    assert found is not None
    assert (found.price, found.known_at) == (Decimal(102), at("10 10:00"))
    kept.add(quote("10 10:01", "103"))
    newest = kept.price(TOKEN, at("10 10:00"), at("10 10:02"))
    assert newest is not None
    assert newest.price == 103
    assert kept.price(TOKEN, at("09"), at("09")) is None


def test_the_close_is_that_of_the_last_bar_whatever_quotes_came() -> None:
    """The newer of hours and days, each once it closed and was known; a quote is no close."""
    kept = archive(quote("10 09:30", "7"))
    assert kept.close(TOKEN, at("10 10:00"), at("10 10:00")) is None
    kept = archive(bar(at("09"), "90", "1d"), bar(at("10 08:00"), "100"), quote("10 09:30", "101"))
    found = kept.close(TOKEN, at("10 09:30"), at("10 09:30"))
    assert found is not None
    assert (found.price, found.known_at) == (100, at("10 09:00"))
    earlier = kept.close(TOKEN, at("10 08:59"), at("10 10:00"))
    assert earlier is not None
    assert (earlier.price, earlier.known_at) == (90, at("10"))
    kept.add(bar(at("10 09:00"), "102", known=at("10 10:30")))
    unknown = kept.close(TOKEN, at("10 10:00"), at("10 10:29"))
    assert unknown is not None
    assert unknown.price == 100


def moved(kept: MemoryArchive, as_of: str, cut_off: str | None = None) -> datetime | None:
    """Ask when the price was last another."""
    return kept.moved_at(TOKEN, at(as_of), at(cut_off or as_of))


def test_a_price_moved_when_it_was_last_another() -> None:
    """Of quotes their instant, of a bar that holds another price its closing; what is not known yet does not count."""
    assert moved(archive(), "10") is None
    kept = archive(bar(at("10 06:00"), "99"), bar(at("10 07:00"), "100"), quote("10 08:30", "100"))
    assert moved(kept, "10 09:00") == at("10 07:00")
    assert moved(kept, "10 07:59") is None
    kept.add(quote("10 08:40", "101"))
    assert moved(kept, "10 09:00") == at("10 08:30")
    assert moved(kept, "10 09:00", "10 08:35") == at("10 07:00")
    kept.add(quote("10 08:50", "100"))
    assert moved(kept, "10 09:00") == at("10 08:40")
    swing = bar(at("10 09:00"), "100").bar._replace(high=Price(Decimal("100.1")))
    kept.add(TokenPrint(token_id=TOKEN, timeframe="1h", known_at=at("10 10:00"), bar=swing))
    assert moved(kept, "10 10:00") == at("10 10:00")
    assert moved(kept, "10 09:59", "10 10:00") == at("10 08:40")


def test_a_day_moves_a_price_only_where_nothing_finer_does() -> None:
    """Yesterday held another price, and so did its hours until 06:00: it has stood since then, not since midnight."""
    day = bar(at("09"), "100", "1d").bar._replace(low=Price(Decimal(90)))
    days = archive(TokenPrint(token_id=TOKEN, timeframe="1d", known_at=at("10"), bar=day))
    assert moved(days, "10 05:00") == at("10")
    days.add(bar(at("10 03:00"), "100"))
    assert moved(days, "10 05:00") == at("10")
    days.add(bar(at("09 05:00"), "90"))
    assert moved(days, "10 05:00") == at("09 06:00")


def test_days_are_whole_and_ended() -> None:
    """Only days that ended by the slot and were known by the cut-off are given, oldest first."""
    days = [bar(at("08"), "1", "1d"), bar(at("10"), "3", "1d"), bar(at("09"), "2", "1d", known=at("11 05:00"))]
    kept = archive(*days)
    assert [b.close for b in kept.days(TOKEN, at("11"), at("11"))] == [1, 3]
    assert [b.close for b in kept.days(TOKEN, at("11 06:00"), at("11 06:00"))] == [1, 2, 3]
    assert [b.close for b in kept.days(TOKEN, at("11 07:00"), at("11"))] == [1, 3]
    assert [b.close for b in kept.days(TOKEN, at("10 23:59"), at("11 06:00"))] == [1, 2]


def test_hours_make_days_where_no_days_are_given() -> None:
    """Twenty-four hours make a day; a day with a gap, or one still running, is none."""
    hours = [at("08") + number * HOUR for number in range(60)]
    kept = archive(*(bar(hour, str(100 + n)) for n, hour in enumerate(hours) if n != 30))
    (day,) = kept.days(TOKEN, at("10 12:00"), at("10 12:00"))
    assert day == Bar(at("08"), at("09"), *(Price(Decimal(p)) for p in (100, 123, 100, 123)))


def test_prints_come_once_in_order_of_opening() -> None:
    """What is available now and was not at the last look: bars by their closing, quotes by when we had them."""
    kept = archive(bar(at("10 08:00"), "100"), quote("10 09:00", "101"))
    first = (at("10 09:00"), at("10 09:01"))
    assert [b.close for b in kept.prints(TOKEN, None, *first)] == [100, 101]
    kept.add(quote("10 10:01", "103"))
    kept.add(bar(at("10 09:00"), "102", known=at("10 10:01")))
    second = (at("10 10:00"), at("10 10:02"))
    assert [b.close for b in kept.prints(TOKEN, first, *second)] == [102, 103]
    assert kept.prints(TOKEN, second, *second) == ()


def test_below_the_hour_there_is_nothing() -> None:
    """No provider gives minutes, and quotes are prints of their own: they were settled when they came."""
    hour = bar(at("10 06:00"), "5")
    made = archive(hour, quote("10 06:10", "4"), quote("10 06:50", "6"))
    assert made.finer(TOKEN, hour.bar, at("10 08:00"), at("10 08:00")) == ()


def test_a_bar_that_closed_after_a_late_slot_waits_for_the_next() -> None:
    """A bar known at the cut-off that had not closed at the slot is a print of the next slot, not lost."""
    kept = archive(bar(at("10 10:00"), "100", known=at("10 11:05")))
    late = (at("10 10:00"), at("10 11:06"))
    assert kept.prints(TOKEN, None, *late) == ()
    assert len(kept.prints(TOKEN, late, at("10 11:00"), at("10 11:10"))) == 1


def test_a_bar_stays_as_it_first_came() -> None:
    """A revised bar says nothing: what was settled with is what stays, as on the tape."""
    kept = archive(bar(at("10 08:00"), "100"))
    assert not kept.add(bar(at("10 08:00"), "105", known=at("10 12:00")))
    found = kept.price(TOKEN, at("10 13:00"), at("10 13:00"))
    assert found is not None
    assert found.price == 100


def test_only_what_is_needed_is_kept() -> None:
    """Hours of 40 days leave the newest 28, and the last one before them, which a halt is told by."""
    first = at("30") - timedelta(days=40)
    kept = archive(*(bar(first + n * HOUR, "1") for n in range(24 * 40)))
    prints = kept.prints(TOKEN, None, at("30"), at("30"))
    assert 24 * 28 + 1 <= len(prints) <= 24 * 28 + 2


def test_strangers_never_enter() -> None:
    """A datum of a token that was not admitted is refused until it is."""
    kept = MemoryArchive({})
    assert not kept.add(signal("10", BULLISH))
    kept.admit({TOKEN: Instrument(token_id=TOKEN, symbol=Symbol("SEV"), name="Seven")})
    assert kept.add(signal("10", BULLISH))
    assert list(kept.instruments) == [TOKEN]


def test_a_slot_is_answered_quickly() -> None:
    """After two years of days and two weeks of hours the questions of a slot take microseconds, not milliseconds."""
    end = datetime(2025, 4, 1, tzinfo=UTC)
    kept = archive(*(bar(end - n * DAY, str(n + 1), "1d") for n in range(1, 700)))
    for n in range(1, 14 * 24):
        kept.add(bar(end - n * HOUR, "5"))
    for n in range(700):
        stance = BULLISH if n % 9 else BEARISH
        when = end - n * DAY
        row = Signal(provider="p", feed="daily", token_id=TOKEN, stance=stance, published_at=when, known_at=when)
        kept.add(row)
    kept.days(TOKEN, end, end)
    begun = time.process_time()
    for _ in range(1000):
        kept.episode(TOKEN, end, end)
        kept.price(TOKEN, end, end)
        kept.days(TOKEN, end, end)
        kept.close(TOKEN, end, end)
        kept.prints(TOKEN, (end - HOUR, end - HOUR), end, end)
    assert time.process_time() - begun < 0.2
