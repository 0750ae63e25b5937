"""The live source against a provider that is as strict as the real one, and fails on request."""

import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.http.client import HttpClient, Waiting
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.domain.errors import AccessError, ConfigError, StorageError, UpstreamError
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.signals import Signal, Stance
from bot.domain.tape import TokenPrint
from tests.unit.strict_provider import DATED, DAY, HOUR, LISTED, MadeTape, Provider

KEY = "tm-canary-8c1f"
SLOT = datetime(2025, 4, 11, 10, tzinfo=UTC)
EVERYTHING = frozenset(
    {
        "trading-signals",
        "resistance-support",
        "quantmetrics",
        "tm-grade",
        "tokens",
        "price",
        "hourly-ohlcv",
        "daily-ohlcv",
    }
)


@dataclass
class Desk:
    """A source with all that it is wired to."""

    clock: SteppedClock
    provider: Provider
    tape: MadeTape
    source: TokenMetricsSource

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Let a slot come and refresh two seconds later, forgetting what was asked before."""
        self.provider.asked.clear()
        self.clock.set(slot + timedelta(seconds=2))
        return self.source.refresh(slot)

    @property
    def endpoints(self) -> list[str]:
        """What was asked since the last refresh, in order of names."""
        return sorted(endpoint for endpoint, _ in self.provider.asked)


def desk(
    needs: frozenset[str] = EVERYTHING,
    tokens: Iterable[int] = (3375, 3988),
    make: Callable[[SteppedClock], Provider] = Provider,
) -> Desk:
    """Wire a source for some tokens, with nothing fetched yet."""
    clock = SteppedClock(SLOT)
    provider, tape = make(clock), MadeTape()
    http = HttpClient(
        "http://api.test/v2",
        {"x-api-key": KEY},
        clock=clock,
        waiting=Waiting(sleep=lambda _: None),
        read=read_answer,
        transport=httpx.MockTransport(provider),
    )
    names = {row["TOKEN_ID"]: str(row["TOKEN_SYMBOL"]) for row in LISTED}
    symbols = {TokenId(t): Symbol(names.get(t, f"T{t}")) for t in tokens}
    known = {token: Instrument(token_id=token, symbol=symbol, name="") for token, symbol in symbols.items()}
    source = TokenMetricsSource(http, archive=MemoryArchive(known), tape=tape, clock=clock, needs=needs)
    return Desk(clock, provider, tape, source)


class Slow(Provider):
    """A provider that takes two minutes for every answer."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer, late."""
        self.clock.set(self.clock.at + timedelta(minutes=2))
        return super().__call__(request)


def test_the_first_refresh_fills_the_archive() -> None:
    """After one refresh every question that a cycle asks has its answer, and nothing failed."""
    made = desk()
    cut_off = made.refresh(SLOT)
    archive, token = made.source.archive, TokenId(3375)
    episode = archive.episode(token, SLOT, cut_off)
    assert episode is not None
    assert (episode.turn.stance, episode.turn.published_at) == (Stance.BULLISH, datetime(2025, 4, 7, tzinfo=UTC))
    price = archive.price(token, SLOT, cut_off)
    assert price is not None
    assert str(price.price) == "101.25"
    assert len(archive.days(token, SLOT, cut_off)) == 57
    assert len(archive.prints(token, None, SLOT, cut_off)) >= 10
    grades = archive.grades(token, SLOT, cut_off)
    assert grades is not None
    assert str(grades.trader_grade) == "70"
    later = SLOT + HOUR
    levels, metrics = archive.levels(token, later, later), archive.quantmetrics(token, later, later)
    assert levels is not None
    assert metrics is not None
    assert (made.source.failures, made.source.refusals) == ((), ())
    assert made.clock.now() > cut_off >= max(call.known_at for call, _ in made.tape.calls)


def test_every_answer_is_recorded_with_its_question() -> None:
    """The tape has each request's endpoint, query, status, rows and body, and the ids are all different."""
    made = desk()
    made.refresh(SLOT)
    assert sorted(call.endpoint for call, _ in made.tape.calls) == made.endpoints
    assert len({call.request_id for call, _ in made.tape.calls}) == len(made.tape.calls)
    for call, body in made.tape.calls:
        assert body is not None
        assert (call.slot, call.status, call.size, call.credits) == (SLOT, 200, len(body), 1)
        assert call.rows == len(json.loads(body)["data"])
    (price,) = [call for call, _ in made.tape.calls if call.endpoint == "price"]
    assert price.query == "token_id=3375,3988"
    assert made.tape.data


def test_nothing_is_fetched_before_it_is_due() -> None:
    """Prices come at each slot, hours when one has closed, the rest once a day."""
    made = desk()
    made.refresh(SLOT)
    made.refresh(SLOT + timedelta(minutes=15))
    assert made.endpoints == ["price"]
    made.refresh(SLOT + HOUR)
    assert made.endpoints == ["hourly-ohlcv", "price"]
    made.refresh(SLOT + DAY)
    assert set(made.endpoints) == EVERYTHING


def test_two_runs_of_one_slot_share_a_fetch() -> None:
    """A second refresh of the same slot, moments later, asks nothing again."""
    made = desk()
    first = made.refresh(SLOT)
    made.provider.asked.clear()
    assert made.source.refresh(SLOT) > first
    assert made.provider.asked == []


def test_two_runs_of_one_slot_share_a_fetch_that_took_long() -> None:
    """The run that waited while the first one fetched for minutes asks nothing either; a minute later it would."""
    made = desk(needs=frozenset({"price", "hourly-trading-signals"}), make=Slow)
    cut_off = made.refresh(SLOT)
    assert cut_off - SLOT >= timedelta(minutes=4)
    made.provider.asked.clear()
    made.source.refresh(SLOT)
    assert made.provider.asked == []
    made.clock.set(made.clock.at + timedelta(minutes=1))
    made.source.refresh(SLOT)
    assert made.endpoints == ["hourly-trading-signals", "price"]


def test_a_run_asks_its_own_prices_once_more_after_a_shared_fetch() -> None:
    """The prices for fills are asked by each run that decided, whoever fetched."""
    made = desk()
    one, other = made.source.of_feed("daily"), made.source.of_feed("hourly")
    one.refresh(SLOT)
    other.refresh(SLOT)
    made.provider.asked.clear()
    for run in (one, other):
        assert [quote.token_id for quote in run.quotes([TokenId(3988)])] == [3988]
    assert made.endpoints == ["price", "price"]


def test_runs_of_two_feeds_share_the_answers_and_see_their_own_episodes() -> None:
    """One fetch serves both; the daily run's episode is of the daily signals, the hourly run's of the hourly ones."""
    made = desk(needs=EVERYTHING | {"hourly-trading-signals"})
    made.clock.set(SLOT)
    daily, hourly = made.source.of_feed("daily"), made.source.of_feed("hourly")
    cut_off = daily.refresh(SLOT)
    assert sorted(set(made.endpoints)) == sorted(EVERYTHING | {"hourly-trading-signals"})
    made.provider.asked.clear()
    assert hourly.refresh(SLOT) > cut_off
    assert made.provider.asked == []
    episodes = [run.archive.episode(TokenId(3375), SLOT, cut_off) for run in (daily, hourly)]
    assert [episode and episode.turn.feed for episode in episodes] == ["daily", "hourly"]
    assert episodes[0] != episodes[1]
    assert daily.archive.price(TokenId(3375), SLOT, cut_off) == hourly.archive.price(TokenId(3375), SLOT, cut_off)


def test_a_cycle_needs_the_prices_of_what_is_held_and_nothing_else() -> None:
    """Signals that fail leave a hole; prices that fail end the try of a run that holds one of their tokens alone."""
    made = desk(needs=frozenset({"price", "trading-signals"}))
    held, other = made.source.of_feed("daily"), made.source.of_feed("daily")
    made.provider.broken["trading-signals"] = (503, b"<html>")
    made.clock.set(SLOT)
    held.refresh(SLOT, {TokenId(3375)})
    assert made.source.failures[0].startswith("trading-signals:")
    made.provider.broken = {"price": (503, b"<html>")}
    made.clock.set(SLOT + HOUR)
    with pytest.raises(UpstreamError, match="price"):
        held.refresh(SLOT + HOUR, {TokenId(3375)})
    cut_off = other.refresh(SLOT + HOUR)
    assert other.archive.lacks_quote(TokenId(3375), cut_off)


def test_only_feeds_that_are_needed_are_asked() -> None:
    """A strategy without levels and grades costs no requests for them."""
    made = desk(needs=frozenset({"price", "trading-signals"}))
    made.refresh(SLOT)
    assert set(made.endpoints) == {"price", "trading-signals"}


def test_requests_go_on_where_the_archive_ends() -> None:
    """The second day asks for the days since the last one known, not for a month again."""
    made = desk()
    made.refresh(SLOT)
    made.refresh(SLOT + DAY)
    spans = {e: (p["startDate"], p["endDate"]) for e, p in made.provider.asked if set(p) >= DATED}
    assert spans["trading-signals"] == ("2025-04-11", "2025-04-12")
    assert spans["daily-ohlcv"] == ("2025-04-10", "2025-04-12")
    assert spans["hourly-ohlcv"] == ("2025-04-11", "2025-04-12")


@pytest.mark.parametrize("away", [timedelta(hours=30), timedelta(days=5), timedelta(days=12)])
def test_the_hours_of_an_outage_are_asked_for_again(away: timedelta) -> None:
    """After a silence of hours or days every hourly bar since the last one known comes, without a hole."""
    made = desk(needs=frozenset({"price", "hourly-ohlcv"}))
    made.refresh(SLOT)
    before = made.source.archive.newest_bar(TokenId(3375), "1h")
    made.refresh(SLOT + away)
    assert before is not None
    missed = made.source.archive.prints(TokenId(3375), (SLOT, SLOT + HOUR), SLOT + away, made.clock.at)
    hours = [bar.opened_at for bar in missed if bar.closed_at > bar.opened_at]
    assert hours[0] == before.closed_at
    assert hours == [before.closed_at + number * HOUR for number in range(away // HOUR)]


@pytest.mark.parametrize("feed", ["trading-signals", "daily-ohlcv", "resistance-support", "quantmetrics"])
def test_yesterday_is_asked_for_hourly_until_it_is_there(feed: str) -> None:
    """While yesterday's rows are not out a feed is asked again each hour, and then left alone."""
    made = desk(needs=frozenset({"price", feed}))
    made.provider.late = frozenset({feed})
    made.refresh(SLOT)
    made.refresh(SLOT + HOUR)
    assert feed in made.endpoints
    made.refresh(SLOT + HOUR + timedelta(minutes=30))
    assert made.endpoints == ["price"]
    made.provider.late = frozenset()
    made.refresh(SLOT + 2 * HOUR)
    assert feed in made.endpoints
    made.refresh(SLOT + 3 * HOUR)
    assert made.endpoints == ["price"]


def test_many_tokens_come_whole_through_a_hundred_rows_at_a_time() -> None:
    """Forty tokens over weeks are fetched without losing a row to the limit of a page."""
    made = desk(tokens=range(1, 41))
    cut_off = made.refresh(SLOT)
    for token in range(1, 41):
        assert len(made.source.archive.days(TokenId(token), SLOT, cut_off)) == 57
        assert len(made.source.archive.prints(TokenId(token), None, SLOT, cut_off)) >= 24
    assert made.source.failures == ()


def test_hourly_pages_end_where_the_known_hours_begin() -> None:
    """One page of newest hours is enough for sixteen tokens an hour later."""
    made = desk(tokens=range(1, 17))
    made.refresh(SLOT)
    made.refresh(SLOT + HOUR)
    assert made.endpoints == ["hourly-ohlcv", "price"]


def test_pages_that_do_not_turn_are_a_failure_and_no_loop() -> None:
    """A provider that gives the first page for every number is noticed."""
    made = desk(tokens=range(1, 41))
    made.provider.pages_stuck = True
    made.refresh(SLOT)
    assert [failure for failure in made.source.failures if "again" in failure]


@pytest.mark.parametrize("feed", ["tm-grade", "resistance-support", "quantmetrics", "daily-ohlcv", "hourly-ohlcv"])
def test_one_broken_feed_loses_no_other(feed: str) -> None:
    """A feed that fails is reported and asked for again at the next slot; everything else is kept."""
    made = desk()
    made.provider.broken[feed] = (500, b"<html>")
    made.refresh(SLOT)
    assert [failure.split(":")[0] for failure in made.source.failures] == [feed]
    assert {type(datum) for datum in made.tape.data} >= {Signal, TokenPrint}
    made.provider.broken.clear()
    made.refresh(SLOT + HOUR)
    assert feed in made.endpoints
    assert made.source.failures == ()


def test_without_any_feed_there_is_no_cycle_and_the_failure_is_kept() -> None:
    """Where nothing answered the refresh raises, after recording every attempt; the next try asks again."""
    made = desk()
    made.provider.broken = dict.fromkeys(EVERYTHING, (503, b"<html>"))
    with pytest.raises(UpstreamError, match="price"):
        made.refresh(SLOT)
    tried = [(call.endpoint, call.attempts) for call, _ in made.tape.calls]
    assert ("price", 3) in tried
    assert {one.error and one.error.split("; ")[0] for one in made.tape.attempts if one.status == 503} == {
        f"GET /v2/{feed}: 503, the provider is in trouble" for feed in EVERYTHING
    }
    made.provider.broken.clear()
    made.refresh(SLOT)
    assert made.endpoints == ["price"]


def test_what_the_plan_lacks_is_asked_once_a_day() -> None:
    """A feed the plan does not include is a failure that names the plan, and costs one request a day."""
    made = desk()
    made.provider.broken["tm-grade"] = (
        401,
        b'{"message": "You are not authorized to access this endpoint with your current plan."}',
    )
    made.refresh(SLOT)
    assert "plan does not include" in made.source.failures[0]
    made.refresh(SLOT + HOUR)
    assert "tm-grade" not in made.endpoints


def test_a_wrong_key_is_an_access_failure_that_does_not_show_it() -> None:
    """With every endpoint refusing the key, the error is about access, and the key is nowhere."""
    made = desk()
    body = json.dumps({"message": f"invalid key {KEY}"}).encode()
    made.provider.broken = dict.fromkeys(EVERYTHING, (401, body))
    with pytest.raises(AccessError) as caught:
        made.refresh(SLOT)
    calls = [call for call, _ in made.tape.calls]
    assert KEY not in f"{caught.value!r} {made.source.failures} {calls} {made.source!r}"


def test_an_hourly_run_reads_hourly_signals() -> None:
    """Where the daily signals are not needed the episodes are those of the hourly feed, asked at every slot."""
    made = desk(needs=frozenset({"price", "hourly-trading-signals"}))
    made.refresh(SLOT)
    cut_off = made.refresh(SLOT + HOUR)
    assert made.endpoints == ["hourly-trading-signals", "price"]
    episode = made.source.of_feed("hourly").archive.episode(TokenId(3375), SLOT + HOUR, cut_off)
    assert episode is not None
    assert episode.turn.feed == "hourly"


def test_quotes_are_asked_once_more_recorded_and_archived() -> None:
    """The prices for fills are fresh, on the tape, and part of later answers."""
    made = desk()
    cut_off = made.refresh(SLOT)
    (quote,) = made.source.quotes([TokenId(3988)])
    assert quote.token_id == 3988
    assert quote.known_at > cut_off
    assert made.tape.calls[-1][0].query == "token_id=3988"
    later = made.source.archive.price(TokenId(3988), SLOT, quote.known_at)
    assert later == quote


def test_quotes_that_cannot_be_had_are_left_out() -> None:
    """A failing price request gives no quotes and a note; the first later quote will do."""
    made = desk()
    made.refresh(SLOT)
    made.provider.broken["price"] = (500, b"")
    assert made.source.quotes([TokenId(3988)]) == ()
    assert made.source.failures[-1].startswith("price:")


def test_symbols_and_ids_are_resolved_to_tokens() -> None:
    """A unique symbol, a shared one with a giant among them, and an id; all are admitted to the archive."""
    made = desk(tokens=())
    found = made.source.resolve(["BTC", "SOL", "39220"])
    assert {token: instrument.name for token, instrument in found.items()} == {
        3375: "Bitcoin",
        3988: "Solana",
        39220: "Osmosis allETH",
    }
    assert set(made.source.archive.instruments) == set(found)
    assert made.source.resolve([3375, "SOL"]).keys() == {3375, 3988}


@pytest.mark.parametrize(
    ("universe", "words"),
    [
        (["ETH"], r"3306 \(Ethereum\), 39220 \(Osmosis allETH\); write the token_id in universe"),
        (["TWO"], r"50001 \(First\), 50002 \(Second\)"),
        (["SOLL"], "no symbol SOLL; did you mean SOL"),
        (["Bitcoin"], "no symbol Bitcoin; did you mean BTC"),
        (["QQQQQQ"], "no symbol QQQQQQ; write the token_id"),
        ([99], "no token_id 99"),
    ],
)
def test_what_cannot_be_resolved_is_named_with_its_mend(universe: list[str | int], words: str) -> None:
    """Ambiguous and unknown names end in a configuration error that lists the choices."""
    with pytest.raises(ConfigError, match=words):
        desk(tokens=()).source.resolve(universe)


def test_data_a_full_tape_refused_is_offered_again() -> None:
    """What could not be recorded is recorded with the next refresh, though the archive has it already."""
    made = desk()
    made.tape.is_full = True
    with pytest.raises(StorageError):
        made.refresh(SLOT)
    made.tape.is_full = False
    made.refresh(SLOT + HOUR)
    assert any(isinstance(datum, Signal) for datum in made.tape.data)


def test_a_usual_refresh_is_cheap() -> None:
    """An hour's refresh of sixteen tokens, two requests, takes a few milliseconds of processor time."""
    made = desk(tokens=range(1, 17))
    made.refresh(SLOT)
    begun = time.process_time()
    for number in range(1, 11):
        made.refresh(SLOT + number * HOUR)
        assert made.endpoints == ["hourly-ohlcv", "price"]
    assert (time.process_time() - begun) / 10 < 0.05
