"""The live source against the simulated provider, over real HTTP."""

import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.http.client import HttpClient
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.feeds import FEEDS
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.domain.errors import AccessError
from bot.domain.market import Grades, LevelSet, QuantMetrics
from bot.domain.signals import Signal
from bot.domain.tape import TokenPrint
from bot.simulator.listing import TOKENS
from bot.simulator.market import SEED, Market
from bot.simulator.server import serve
from tests.unit.strict_provider import MadeTape

KEY = "tm-simulated"
START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def follow(universe: list[str | int], hours: int, version: str = "v2", key: str = KEY) -> tuple[MadeTape, float]:
    """Follow a market for some hours from its start; return the tape and the seconds that a usual slot cost."""
    clock, tape = SteppedClock(START), MadeTape()
    with serve(Market(seed=SEED, start=START), lambda: clock.at, api_key=KEY) as server:
        url = server.base_url.replace("/v2", f"/{version}")
        with closing(HttpClient(url, {"x-api-key": key}, clock=clock, read=read_answer)) as http:
            source = TokenMetricsSource(http, archive=MemoryArchive({}), tape=tape, clock=clock, needs=frozenset(FEEDS))
            source.resolve(universe)
            costs = []
            for number in range(hours):
                slot = START + number * HOUR
                clock.set(slot + timedelta(seconds=2))
                begun = time.process_time()
                source.refresh(slot)
                costs.append(time.process_time() - begun)
                assert source.failures == ()
                # The young token of the simulator has no measures and no grades yet.
                assert {refused.reason for _, refused in source.refusals} <= {"no_value"}
    return tape, sorted(costs)[len(costs) // 2]


def test_a_day_is_followed_without_a_failure_or_a_refusal() -> None:
    """Every kind of datum arrives for every token, look-alikes never, and nothing is refused."""
    tape, _ = follow(["BTC", "SOL"], 26)
    assert {type(datum) for datum in tape.data} >= {Signal, LevelSet, QuantMetrics, Grades, TokenPrint}
    assert len({datum.token_id for datum in tape.data}) == 2
    assert {call.status for call, _ in tape.calls} == {200}


def test_the_same_day_again_is_the_same_tape() -> None:
    """Requests side by side leave no trace of their threads: ids, instants, data and their order are the same."""
    first, second = (follow(["BTC", "SOL", "DOGE"], 3)[0] for _ in range(2))
    calls = [[replace(call, seconds=0.0) for call, _ in tape.calls] for tape in (first, second)]
    assert calls[0] == calls[1]
    assert first.data == second.data


def test_both_versions_of_the_api_give_the_same_data() -> None:
    """Upper-case v2 and lower-case v3 are read to the same values."""
    old, new = (follow(["BTC", "SOL"], 2, version)[0].data for version in ("v2", "v3"))
    assert old == new


def test_a_wrong_key_is_refused_at_the_start() -> None:
    """The simulated provider refuses a wrong key as the real one does, and the error is about access."""
    with pytest.raises(AccessError, match="check the key"):
        follow(["BTC"], 1, key="tm-wrong")


def test_a_usual_slot_of_sixteen_tokens_is_cheap() -> None:
    """Sixteen tokens cost some ten milliseconds of processor time a slot, the simulated server's share included."""
    sixteen: list[str | int] = [token.token_id for token in TOKENS[:16]]
    _, seconds = follow(sixteen, 8)
    assert seconds < 0.06
