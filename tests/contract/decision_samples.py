"""A second run, written by hand: a short stopped by a moved stop, a long taken by two targets, breakers and requests.

Both are entered at 10:00 and filled at 11:00. At 12:00 both stops have moved, half of ETH is sold at its first target,
the short has paid for what it borrowed, a breaker trips, and SOL is refused by both gates. At 13:00 the rest of ETH
reaches its second target, SOL is stopped at its second move, and an operator's wish to close it comes too late.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain import ids
from bot.domain.books import Account
from bot.domain.decisions import Candidate, CandidateLevel, Fact, Outcome
from bot.domain.events import Act, EventKind, EventState, Request, RunEvent, request_id_of
from bot.domain.ids import RunName, TokenId
from bot.domain.numbers import Price, Quantity
from bot.domain.orders import Order, OrderState, Role, Side
from bot.domain.positions import Closing, ExitReason, StopMove
from bot.domain.record import CycleRecord
from tests.contract.ledger_samples import (
    ETH,
    HOUR,
    SOL,
    TEN,
    candidate,
    cycle,
    d,
    entry,
    equity,
    event,
    fill,
    mark,
    order,
    position,
    verdicts,
)

BOTH = RunName("both_ways")
ELEVEN, TWELVE, THIRTEEN = (TEN + hours * HOUR for hours in (1, 2, 3))
QUANTITY = {SOL: Quantity(d("10")), ETH: Quantity(d("4"))}
SIDE = {SOL: Side.SHORT, ETH: Side.LONG}
HALF = Quantity(d("2"))


def request(act: Act, asked_at: datetime = TWELVE, token_id: TokenId | None = None, run: RunName = BOTH) -> Request:
    """Ask a run for something."""
    return Request(
        request_id=request_id_of(run, act, token_id, asked_at),
        run=run,
        act=act,
        token_id=token_id,
        asked_at=asked_at,
    )


CLOSE = request(Act.CLOSE, token_id=SOL)


def born(token: TokenId, role: Role, price: str) -> Order:
    """Make an order of the run; an entry's bracket is anchored at its fill."""
    made = replace(order(TEN, token, role, price, BOTH), side=SIDE[token], quantity=QUANTITY[token])
    if role is not Role.ENTRY:
        return made
    return replace(made, equity=d("10000"), cut_off=TEN + timedelta(seconds=2))


def sold(half: Order) -> Order:
    """Narrow a target to its half of the quantity, as it is filled."""
    return replace(half, quantity=HALF)


SHORT = replace(born(SOL, Role.ENTRY, "100"), stop=Price(d("105")), target=Price(d("90")))
SHORT_STOP, SHORT_TARGET = born(SOL, Role.STOP, "105"), born(SOL, Role.TARGET, "90")
LONG = replace(born(ETH, Role.ENTRY, "50"), stop=Price(d("45")), target=Price(d("60")))
LONG_STOP = born(ETH, Role.STOP, "45")
NEAR = replace(born(ETH, Role.TARGET, "60"), share=d("0.5"))
FAR = replace(born(ETH, Role.TARGET, "70"), order_id=ids.order_id(BOTH, LONG.signal_id, "target", 0, 1), part=1)


def judged(token: TokenId, slot: datetime, outcome: Outcome) -> Candidate:
    """Make a candidate with a side."""
    return replace(candidate(slot, token, outcome, BOTH), side=SIDE[token])


def level(of: Candidate, number: int, price: str, strength: str | None = None, merged: int = 1) -> CandidateLevel:
    """Make a level as a candidate saw it."""
    return CandidateLevel(
        candidate_id=of.candidate_id,
        run=of.run,
        slot=of.slot,
        number=number,
        price=Price(d(price)),
        strength=None if strength is None else d(strength),
        strength_source=None if strength is None else "provider",
        merged=merged,
    )


def stop_move(of: Order, slot: datetime, number: int, price: str, reason: ExitReason) -> StopMove:
    """Move the stop of a position."""
    return StopMove(
        position_id=of.position_id,
        run=of.run,
        slot=slot,
        number=number,
        moved_at=slot - HOUR,
        price=Price(d(price)),
        reason=reason,
        level=Price(d("50.2")) if reason is ExitReason.BREAK_EVEN else None,
    )


def run_event(slot: datetime, number: int, kind: EventKind, name: str, state: EventState, **more: Any) -> RunEvent:
    """Make an event of the run."""
    made = RunEvent(run=BOTH, slot=slot, number=number, kind=kind, name=name, state=state, notice=f"{name} {state}")
    return replace(made, **more)


def closing(of: Order, reason: ExitReason, profit: str) -> Closing:
    """Close a position at 13:00."""
    return Closing(
        position_id=of.position_id,
        run=of.run,
        slot=THIRTEEN,
        closed_at=TWELVE,
        reason=reason,
        profit=d(profit),
        mae=d("-0.02"),
        mfe=d("0.1"),
    )


def executed(of: Order, slot: datetime, price: str, fee: str, legs: Sequence[str]) -> list[Fact]:
    """Fill an order: its event, its fill, and the legs on cash, position and profit; the fee's leg is the fee."""
    made = fill(of, slot, price, fee, None if of.role is Role.ENTRY else ("-20", "20"))
    accounts = (Account.CASH, Account.POSITION, Account.PROFIT)
    named = [(Account.FEES, fee), *zip(accounts, legs, strict=False)]
    reason = {Role.STOP: "break_even", Role.TARGET: "target_hit"}.get(of.role)
    opened = [position(of, slot, price)] if of.role is Role.ENTRY else []
    return [
        event(of, slot, OrderState.FILLED, reason),
        *opened,
        made,
        entry(slot, made.fill_id, named, BOTH, of.position_id),
    ]


def _decided() -> list[Fact]:
    short, long = judged(SOL, TEN, Outcome.ENTERED), judged(ETH, TEN, Outcome.ENTERED)
    children = (SHORT_STOP, SHORT_TARGET, LONG_STOP, NEAR, FAR)
    return [
        entry(TEN, "opening", ((Account.CASH, "10000"), (Account.CAPITAL, "-10000")), BOTH),
        equity(TEN, "10000", "0", BOTH),
        short,
        *verdicts(short),
        level(short, 0, "95", "0.8", merged=2),
        level(short, 1, "100"),
        level(short, 2, "110", "0.25"),
        long,
        *verdicts(long),
        *(fact for one in (SHORT, LONG) for fact in (one, event(one, TEN, OrderState.ACCEPTED))),
        *(fact for one in children for fact in (one, event(one, TEN, OrderState.PLANNED))),
    ]


def _opened() -> list[Fact]:
    return [
        *executed(SHORT, ELEVEN, "99.9", "0.999", ("998.001", "-999")),
        *executed(LONG, ELEVEN, "50.05", "0.2002", ("-200.4002", "200.2")),
        *(event(one, ELEVEN, OrderState.ACCEPTED) for one in (SHORT_STOP, SHORT_TARGET, LONG_STOP, NEAR, FAR)),
        mark(SHORT, ELEVEN, "99"),
        mark(LONG, ELEVEN, "51"),
        equity(ELEVEN, "10797.6008", "-786", BOTH),
    ]


def _moved() -> list[Fact]:
    refused = judged(SOL, TWELVE, Outcome.REJECTED)
    borrowed = ((Account.CASH, "-0.05"), (Account.FEES, "0.05"))
    return [
        *executed(sold(NEAR), TWELVE, "60", "0.12", ("119.88", "-100.1", "-19.9")),
        entry(TWELVE, f"borrow:{SHORT.position_id}", borrowed, BOTH, SHORT.position_id),
        stop_move(SHORT, TWELVE, 0, "103", ExitReason.TRAILING_STOP),
        stop_move(LONG, TWELVE, 0, "50.15", ExitReason.BREAK_EVEN),
        mark(SHORT, TWELVE, "98"),
        mark(LONG, TWELVE, "59"),
        equity(TWELVE, "10917.4308", "-862", BOTH),
        run_event(
            TWELVE,
            0,
            EventKind.BREAKER,
            "daily_loss",
            EventState.TRIPPED,
            value=d("0.03"),
            threshold=d("0.02"),
            action="block",
            until=TWELVE + 24 * HOUR,
        ),
        refused,
        *(replace(one, passed=False) for one in verdicts(refused)),
    ]


def _closed() -> list[Fact]:
    left: tuple[Order, ...] = (SHORT_TARGET, LONG_STOP)
    return [
        stop_move(SHORT, THIRTEEN, 1, "101", ExitReason.BREAK_EVEN),
        *executed(sold(FAR), THIRTEEN, "70", "0.14", ("139.86", "-100.1", "-39.9")),
        closing(LONG, ExitReason.TARGET_HIT, "59.3398"),
        *executed(SHORT_STOP, THIRTEEN, "101.07", "1.0107", ("-1011.7107", "999", "11.7")),
        closing(SHORT, ExitReason.BREAK_EVEN, "-13.7597"),
        *(event(one, THIRTEEN, OrderState.CANCELLED, "position_closed") for one in left),
        equity(THIRTEEN, "10045.5801", "0", BOTH),
        run_event(THIRTEEN, 0, EventKind.BREAKER, "daily_loss", EventState.RESET, equity=d("10045.5801")),
        run_event(
            THIRTEEN,
            1,
            EventKind.OPERATOR,
            "close",
            EventState.APPLIED,
            token_id=SOL,
            request_id=CLOSE.request_id,
        ),
    ]


def both_ways() -> list[CycleRecord]:
    """Tell the run of the module's docstring in four cycles."""
    told = ((TEN, _decided()), (ELEVEN, _opened()), (TWELVE, _moved()), (THIRTEEN, _closed()))
    return [CycleRecord(cycle=cycle(slot, BOTH), facts=tuple(facts)) for slot, facts in told]
