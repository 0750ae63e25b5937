"""One cycle of one run: the shell around the engine's `settle` and `decide`.

Live and replay both call `run_cycle`. Only the source says what happened; the clock only stamps
when the work was done.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.app.cycle.gather import gather
from bot.app.cycle.setup import RunSetup
from bot.domain.decisions import Candidate, Fact, Outcome
from bot.domain.events import Request
from bot.domain.ids import TokenId
from bot.domain.orders import Fill, Order, Role
from bot.domain.portfolio import AT_MARKET, Portfolio
from bot.domain.positions import Closing
from bot.domain.record import Cycle, CycleRecord, CycleState
from bot.domain.snapshot import NotAskedFor, Snapshot
from bot.domain.tape import Datum, TokenPrint, timeframe_of
from bot.engine.cycle import apply, decide, fill_quotes, settle
from bot.engine.journal import Acted, opening
from bot.engine.rules import Rules
from bot.ports import Source


def run_cycle(
    setup: RunSetup,
    source: Source,
    portfolio: Portfolio,
    slot: datetime,
    now: Callable[[], datetime],
    requests: tuple[Request, ...] = (),
    asked: Iterable[TokenId] | None = None,
    judge: Callable[[Snapshot, Portfolio, Rules], Acted] = decide,
) -> tuple[CycleRecord, Portfolio]:
    """Fetch, settle, decide and fill at one slot; return the record to commit and the portfolio.

    requests: what operators asked of the run since its last cycle. asked: the tokens to look at,
    beside those with waiting orders; None means all. judge: the stage after the settlement; at the
    end of a replay's window it only marks the account.
    """
    started_at = now()
    first = portfolio.settled_slot is None
    facts: list[Fact] = [opening(setup.name, setup.cash, slot)] if first else []
    if first:
        portfolio = apply(portfolio, facts)
    waiting = (live.order.token_id for live in portfolio.orders.values())
    cut_off = source.refresh(slot, {*portfolio.holdings, *waiting})
    snapshot = gather(source.archive, setup, portfolio, slot, cut_off, requests, asked)
    for stage in (settle, judge):
        made, portfolio = stage(snapshot, portfolio, setup.rules)
        facts.extend(made)
    settled_until = cut_off
    # A live source quotes prices once more after the decision; a history returns none.
    asked = sorted({order.token_id for role in AT_MARKET for order in portfolio.waiting(role)})
    if asked and (quotes := source.quotes(asked)):
        made, portfolio = fill_quotes(snapshot, portfolio, quotes, setup.rules)
        facts.extend(made)
        settled_until = max(cut_off, *(quote.known_at for quote in quotes))
    # Each stage copies the portfolio that it gets, so this one belongs to this cycle alone.
    portfolio.settled_slot, portfolio.settled_until = slot, settled_until
    cycle = _cycle(setup, slot, (cut_off, settled_until), (started_at, now()), facts)
    used = tuple(_select_used(snapshot, facts))
    return CycleRecord(cycle=cycle, facts=tuple(facts), used=used), portfolio


def _cycle(
    setup: RunSetup,
    slot: datetime,
    seen: tuple[datetime, datetime],
    worked: tuple[datetime, datetime],
    facts: Sequence[Fact],
) -> Cycle:
    outcomes = [fact.outcome for fact in facts if isinstance(fact, Candidate)]
    return Cycle(
        run=setup.name,
        slot=slot,
        state=CycleState.COMMITTED,
        cut_off=seen[0],
        settled_until=seen[1],
        started_at=worked[0],
        finished_at=worked[1],
        entries=[fact.role for fact in facts if isinstance(fact, Order)].count(Role.ENTRY),
        exits=[isinstance(fact, Closing) for fact in facts].count(True),
        rejections=outcomes.count(Outcome.REJECTED),
        config_hash=setup.config_hash,
        code_version=setup.code_version,
    )


def _select_used(snapshot: Snapshot, facts: Sequence[Fact]) -> list[Datum]:
    """List the data that candidates were judged by, and the bars that gave fills their prices."""
    found: list[Datum] = []
    for fact in facts:
        if isinstance(fact, Candidate):
            view = snapshot.tokens[fact.token_id]
            turn = view.episode.turn if view.episode else None
            read: tuple[Any, ...] = (turn, view.levels, view.quantmetrics, view.grades, view.market)
            found.extend(one for one in read if not isinstance(one, NotAskedFor | None))
        elif isinstance(fact, Fill):
            view = snapshot.tokens[fact.token_id]
            # A fill is dated at the opening of its bar. A quote closes when it opens: it is no bar.
            for bar in (*view.finer, *view.prints):
                if bar.opened_at == fact.filled_at < bar.closed_at:
                    token_id, of, at = fact.token_id, timeframe_of(bar), bar.closed_at
                    found.append(TokenPrint(token_id=token_id, timeframe=of, known_at=at, bar=bar))
    return found
