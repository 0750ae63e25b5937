"""A small run, written by hand: one trade from entry to stop, one refusal, one position left open.

SOL is entered at 10:00, filled at 11:00 and stopped at 12:00; ETH is refused at 10:00, entered at 11:00 and filled at
12:00.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from bot.adapters.sql.ledger import SqlLedger
from bot.adapters.sql.migrate import migrations_folder
from bot.domain import ids
from bot.domain.books import Account, JournalEntry, Posting
from bot.domain.decisions import Candidate, CandidateLevel, Comparator, EquityMark, Fact, Outcome, Verdict
from bot.domain.ids import PositionId, RunName, SignalId, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.numbers import Price, Quantity
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, Side
from bot.domain.positions import Closing, ExitReason, Mark, Position
from bot.domain.record import Cycle, CycleRecord, CycleState, ParityCheck, Run
from bot.domain.signals import Signal, Stance

RUN = RunName("levels_long")
SOL, ETH = TokenId(3), TokenId(2)
TEN = datetime(2024, 3, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG_HASH = "c" * 64


def d(text: str) -> Decimal:
    """Read a decimal."""
    return Decimal(text)


def run(name: RunName = RUN, cash: str = "10000", identity: str | None = "replay-1") -> Run:
    """Make a run."""
    return Run(name=name, strategy="levels_long", cash=d(cash), identity=identity, started_at=TEN)


def parity_check(checked_at: datetime, **more: object) -> ParityCheck:
    """Make a check of the run that found nothing, or what is given."""
    check = ParityCheck(
        run=RUN,
        checked_at=checked_at,
        first_slot=TEN,
        last_slot=TEN + HOUR,
        cycles=2,
        answers=7,
        row_hash="f",
        code_version="1",
    )
    return replace(check, **more)  # type: ignore[arg-type]


UNIVERSE = {
    SOL: Instrument(token_id=SOL, symbol=Symbol("SOL"), name="Solana", price_tick=d("0.01"), category="layer-1"),
    ETH: Instrument(token_id=ETH, symbol=Symbol("ETH"), name="Ethereum"),
}


def signal(token: TokenId) -> Signal:
    """Make the bullish turn of a token."""
    return Signal(
        provider="token_metrics",
        feed="daily",
        token_id=token,
        stance=Stance.BULLISH,
        published_at=TEN - HOUR,
        known_at=TEN - HOUR / 2,
        grade=d("87.5"),
    )


def cycle(slot: datetime, name: RunName = RUN, state: CycleState = CycleState.COMMITTED) -> Cycle:
    """Make the cycle of a slot."""
    return Cycle(
        run=name,
        slot=slot,
        state=state,
        cut_off=slot + timedelta(seconds=2),
        settled_until=slot + timedelta(seconds=2, microseconds=7),
        started_at=slot,
        finished_at=slot + timedelta(milliseconds=2500),
        entries=0,
        exits=0,
        rejections=0,
        config_hash=CONFIG_HASH,
        code_version="0.1.0",
    )


def entry(
    slot: datetime,
    cause: str,
    legs: Sequence[tuple[Account, str]],
    name: RunName = RUN,
    position_id: PositionId | None = None,
) -> JournalEntry:
    """Make a journal entry."""
    return JournalEntry(
        entry_id=ids.entry_id(name, cause),
        run=name,
        slot=slot,
        cause=cause,
        position_id=position_id,
        at=slot,
        postings=tuple(Posting(account, d(amount)) for account, amount in legs),
    )


def candidate(slot: datetime, token: TokenId, outcome: Outcome, name: RunName = RUN) -> Candidate:
    """Make a candidate."""
    entered = outcome is Outcome.ENTERED
    return Candidate(
        candidate_id=ids.candidate_id(name, slot, signal(token).signal_id),
        run=name,
        slot=slot,
        token_id=token,
        signal_id=signal(token).signal_id,
        outcome=outcome,
        first_reason=None if entered else "trader_grade_min",
        complete=True,
        rank=0,
        reference_price=Price(d("100")),
        stop=Price(d("95.5")),
        target=Price(d("120")),
        stop_source="level",
        target_source="level",
        stop_level=Price(d("96")),
        target_level=Price(d("120")),
        reward_risk=d("4.444444444444444444"),
        quantity=Quantity(d("12.5")) if entered else None,
        size_bound="weight_max" if entered else None,
    )


def verdicts(of: Candidate) -> list[Verdict]:
    """Make the verdicts of two gates."""
    passed = of.outcome is Outcome.ENTERED
    made = [
        ("trader_grade_min", d("87.5") if passed else None, passed, None if passed else "missing_grade"),
        ("reward_risk_min", d("4.444444444444444444"), True, None),
    ]
    return [
        Verdict(
            candidate_id=of.candidate_id,
            run=of.run,
            slot=of.slot,
            number=number,
            gate=gate,
            value=value,
            comparator=Comparator.AT_LEAST,
            threshold=d("60"),
            passed=good,
            reason=reason,
        )
        for number, (gate, value, good, reason) in enumerate(made)
    ]


def order(slot: datetime, token: TokenId, role: Role, price: str, name: RunName = RUN) -> Order:
    """Make an order."""
    acting: SignalId = signal(token).signal_id
    return Order(
        order_id=ids.order_id(name, acting, role.value, 0),
        run=name,
        slot=slot,
        position_id=ids.position_id(name, token, 0),
        signal_id=acting,
        token_id=token,
        side=Side.LONG,
        role=role,
        ordinal=0,
        rank=0,
        quantity=Quantity(d("12.5")),
        price=Price(d(price)),
        stop=Price(d("95.5")) if role is Role.ENTRY else None,
        target=Price(d("120")) if role is Role.ENTRY else None,
        stop_source="level" if role is Role.ENTRY else None,
        target_source="level" if role is Role.ENTRY else None,
    )


def event(of: Order, slot: datetime, state: OrderState, reason: str | None = None) -> OrderEvent:
    """Make a change of state."""
    return OrderEvent(order_id=of.order_id, run=of.run, slot=slot, state=state, reason=reason)


def fill(of: Order, slot: datetime, price: str, fee: str, band: tuple[str, str] | None = None) -> Fill:
    """Make the fill of an order."""
    return Fill(
        fill_id=ids.fill_id(of.order_id, 0),
        order_id=of.order_id,
        run=of.run,
        slot=slot,
        position_id=of.position_id,
        token_id=of.token_id,
        role=of.role,
        quantity=of.quantity,
        price=Price(d(price)),
        fee=d(fee),
        filled_at=slot - HOUR,
        fill_model="bars-1",
        profit_pessimistic=d(band[0]) if band else None,
        profit_optimistic=d(band[1]) if band else None,
    )


def position(of: Order, slot: datetime, price: str) -> Position:
    """Make the position that an entry opened."""
    return Position(
        position_id=of.position_id,
        run=of.run,
        slot=slot,
        token_id=of.token_id,
        ordinal=0,
        order_ordinal=0,
        signal_id=of.signal_id,
        side=of.side,
        quantity=of.quantity,
        entry_price=Price(d(price)),
        opened_at=slot - HOUR,
        stop_initial=of.stop,
        target=of.target,
        stop_source="level",
        target_source="level",
    )


def mark(of: Order, slot: datetime, price: str) -> Mark:
    """Mark a position."""
    return Mark(
        position_id=of.position_id,
        run=of.run,
        slot=slot,
        price=Price(d(price)),
        low=Price(d("99")),
        high=Price(d("101")),
    )


def equity(slot: datetime, cash: str, held: str, name: RunName = RUN) -> EquityMark:
    """Mark the account."""
    return EquityMark(
        run=name,
        slot=slot,
        cash=d(cash),
        positions_value=d(held),
        equity=d(cash) + d(held),
        high_water_mark=d("10000"),
        drawdown=d("0.001"),
        exposure=d("0.125"),
        open_positions=int(held != "0"),
    )


def accepted(slot: datetime, token: TokenId, name: RunName = RUN) -> list[Fact]:
    """Accept an entry with its planned bracket."""
    judged = candidate(slot, token, Outcome.ENTERED, name)
    born, stop, target = (
        order(slot, token, role, price, name)
        for role, price in ((Role.ENTRY, "100"), (Role.STOP, "95.5"), (Role.TARGET, "120"))
    )
    return [
        judged,
        *verdicts(judged),
        born,
        event(born, slot, OrderState.ACCEPTED),
        stop,
        event(stop, slot, OrderState.PLANNED),
        target,
        event(target, slot, OrderState.PLANNED),
    ]


def entered(slot: datetime, born: datetime, token: TokenId, name: RunName = RUN) -> list[Fact]:
    """Fill an entry: 12.5 at 100.1, fee 1.25125."""
    bought = order(born, token, Role.ENTRY, "100", name)
    made = fill(bought, slot, "100.1", "1.25125")
    legs = ((Account.CASH, "-1252.50125"), (Account.POSITION, "1251.25"), (Account.FEES, "1.25125"))
    bracket = [order(born, token, role, "1", name) for role in (Role.STOP, Role.TARGET)]
    return [
        event(bought, slot, OrderState.FILLED),
        position(bought, slot, "100.1"),
        made,
        entry(slot, made.fill_id, legs, name, made.position_id),
        *(event(one, slot, OrderState.ACCEPTED) for one in bracket),
    ]


def stopped(slot: datetime, born: datetime, token: TokenId, name: RunName = RUN) -> list[Fact]:
    """Stop a position out: 12.5 at 95.45, fee 1.193125."""
    stop = order(born, token, Role.STOP, "95.5", name)
    target = order(born, token, Role.TARGET, "120", name)
    made = fill(stop, slot, "95.45", "1.193125", ("-60.569375", "200"))
    legs = (
        (Account.CASH, "1191.931875"),
        (Account.POSITION, "-1251.25"),
        (Account.FEES, "1.193125"),
        (Account.PROFIT, "58.125"),
    )
    closing = Closing(
        position_id=stop.position_id,
        run=name,
        slot=slot,
        closed_at=slot - HOUR,
        reason=ExitReason.STOP_HIT,
        profit=d("-60.569375"),
        mae=d("-0.046453546453546454"),
        mfe=d("0.008991008991008991"),
    )
    return [
        event(stop, slot, OrderState.FILLED, "stop_hit"),
        made,
        entry(slot, made.fill_id, legs, name, made.position_id),
        closing,
        event(target, slot, OrderState.CANCELLED, "position_closed"),
    ]


def story(name: RunName = RUN) -> list[CycleRecord]:
    """Tell the run of the module's docstring in three cycles."""
    ten, eleven, twelve = TEN, TEN + HOUR, TEN + 2 * HOUR
    capital = ((Account.CASH, "10000"), (Account.CAPITAL, "-10000"))
    refused = candidate(ten, ETH, Outcome.REJECTED, name)
    sol, eth = (order(ten, token, Role.ENTRY, "100", name) for token in (SOL, ETH))
    first = [
        entry(ten, "opening", capital, name),
        equity(ten, "10000", "0", name),
        refused,
        *verdicts(refused),
        *accepted(ten, SOL, name),
    ]
    second = [
        *entered(eleven, ten, SOL, name),
        mark(sol, eleven, "100.5"),
        equity(eleven, "8747.49875", "1256.25", name),
        *accepted(eleven, ETH, name),
    ]
    third = [
        *stopped(twelve, ten, SOL, name),
        *entered(twelve, eleven, ETH, name),
        mark(eth, twelve, "104.1"),
        equity(twelve, "8686.929375", "1301.25", name),
    ]
    used = (signal(SOL),)
    return [
        CycleRecord(cycle=cycle(slot, name), facts=tuple(facts), used=used)
        for slot, facts in ((ten, first), (eleven, second), (twelve, third))
    ]


def opened(book: SqlLedger, name: RunName = RUN) -> SqlLedger:
    """Enter the sample run in a ledger."""
    book.keep_config(CONFIG_HASH, "[strategy]")
    book.open_run(run(name), UNIVERSE)
    return book


def portfolio_part(records: Sequence[CycleRecord]) -> list[Fact]:
    """Return the facts that a portfolio is folded from, of a story that fits into one day and arms no breaker.

    Left out are verdicts, levels, and marks of what is closed or marked again. All equity stays: these marks are of a
    release that did not keep the deepest fall, which is known from all of them.
    """
    facts = [fact for record in records for fact in record.facts]
    closed = {fact.position_id for fact in facts if isinstance(fact, Closing)}
    last = records[-1].cycle.slot
    return [
        fact
        for fact in facts
        if not isinstance(fact, Verdict | CandidateLevel)
        and not (isinstance(fact, Mark) and (fact.position_id in closed or fact.slot != last))
    ]


def run_first_revision(connection: Connection) -> None:
    """Create the tables of the first release in an empty database."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "0001")
