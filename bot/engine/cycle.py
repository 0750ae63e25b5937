"""A cycle is a function: settle what has happened, then decide. Live and replay call the same three.

`settle` and `decide` return facts; `apply` folds them. Nothing here knows what time it is beyond the snapshot's as_of.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext

from bot.domain.decisions import Candidate, EquityMark, Fact, Outcome, Verdict
from bot.domain.ids import TokenId, candidate_id, order_id, position_id
from bot.domain.market import Quote, one_price
from bot.domain.numbers import EXACT, ONE, ZERO, Price, Quantity, fraction_half_even, micro_half_even
from bot.domain.orders import Order, OrderState, Role
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Mark, Position
from bot.domain.signals import Episode
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.ages import hours_between
from bot.engine.brackets import Bracket, place_bracket
from bot.engine.candidates import in_rank, is_due
from bot.engine.exits import decide_exits
from bot.engine.fills import event
from bot.engine.fold import fold as apply
from bot.engine.gates import Finding, Proposal, ask_all
from bot.engine.journal import Journal
from bot.engine.rules import Rules
from bot.engine.settlement import expire_and_delist, settle_prints
from bot.engine.sizing import size_entry

__all__ = ["apply", "decide", "fill_quotes", "settle"]


def settle(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> tuple[Fact, ...]:
    """Settle the prints that the portfolio has not seen, then end what waited or lay too long."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of)
        settle_prints(journal, snapshot.tokens, rules)
        expire_and_delist(journal, snapshot.tokens, rules)
        return (*journal.facts, *_marks(journal, snapshot.tokens))


def fill_quotes(snapshot: Snapshot, portfolio: Portfolio, quotes: tuple[Quote, ...], rules: Rules) -> tuple[Fact, ...]:
    """Fill the orders accepted at this slot at prices asked after the decision."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of)
        views = {
            quote.token_id: replace(snapshot.tokens[quote.token_id], prints=(one_price(quote.known_at, quote.price),))
            for quote in quotes
        }
        settle_prints(journal, views, rules)
        opened = {fact.position_id for fact in journal.facts if isinstance(fact, Position)}
        marks = _marks(journal, views)
        return (*journal.facts, *(mark for mark in marks if mark.position_id in opened))


def decide(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> tuple[Fact, ...]:
    """Mark the account, accept exits, judge every candidate and accept the entries that pass all gates."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of)
        prices = _reference_prices(portfolio, snapshot.tokens)
        marked = _equity(journal, prices)
        journal.write(marked)
        decide_exits(journal, snapshot.tokens, rules)
        due = {
            token_id: (view, episode)
            for token_id, view in snapshot.tokens.items()
            if (episode := view.episode) is not None and is_due(journal.portfolio, episode, rules)
        }
        brackets = {
            token_id: place_bracket(view, view.price.price, rules) if view.price else Bracket()
            for token_id, (view, _) in due.items()
        }
        for rank, token_id in enumerate(in_rank(brackets, snapshot.tokens, rules.entry.rank)):
            _judge(journal, snapshot, *due[token_id], brackets[token_id], rank, marked.equity, prices, rules)
        return tuple(journal.facts)


def _reference_prices(portfolio: Portfolio, views: Mapping[TokenId, TokenView]) -> dict[TokenId, Price]:
    """Return the price each held token is valued at: the last known one, before the first its entry price."""
    found: dict[TokenId, Price] = {}
    for token_id, holding in portfolio.holdings.items():
        view = views.get(token_id)
        found[token_id] = view.price.price if view and view.price else holding.position.entry_price
    return found


def _equity(journal: Journal, prices: Mapping[TokenId, Price]) -> EquityMark:
    portfolio = journal.portfolio
    values = [micro_half_even(held.quantity * prices[token_id]) for token_id, held in portfolio.holdings.items()]
    positions_value = sum(values, ZERO)
    equity = portfolio.cash + positions_value
    high = max(portfolio.high_water_mark, equity)
    return EquityMark(
        run=portfolio.run,
        slot=journal.slot,
        cash=portfolio.cash,
        positions_value=positions_value,
        equity=equity,
        high_water_mark=high,
        drawdown=fraction_half_even(ONE - equity / high) if high > ZERO else ZERO,
        exposure=fraction_half_even(positions_value / equity) if equity > ZERO else ZERO,
        open_positions=len(values),
    )


def _marks(journal: Journal, views: Mapping[TokenId, TokenView]) -> list[Mark]:
    prices = _reference_prices(journal.portfolio, views)
    return [
        Mark(
            position_id=holding.position.position_id,
            run=holding.position.run,
            slot=journal.slot,
            price=prices[token_id],
            low=holding.low,
            high=holding.high,
        )
        for token_id, holding in sorted(journal.portfolio.holdings.items())
    ]


def _free_cash(portfolio: Portfolio, rules: Rules) -> Decimal:
    paid = rules.fills.buy * (ONE + rules.fills.fee_fraction)
    reserved = sum((order.quantity * order.price * paid for order in portfolio.waiting(Role.ENTRY)), ZERO)
    return portfolio.cash - reserved


def _judge(
    journal: Journal,
    snapshot: Snapshot,
    view: TokenView,
    episode: Episode,
    bracket: Bracket,
    rank: int,
    equity: Decimal,
    prices: Mapping[TokenId, Price],
    rules: Rules,
) -> None:
    """Ask every gate about one candidate, write what they said, and accept the entry if all passed."""
    reference = view.price.price if view.price else None
    size = None
    if reference is not None:
        free = _free_cash(journal.portfolio, rules)
        size = size_entry(view, reference, bracket, equity, free, rules)
    proposal = Proposal(
        as_of=snapshot.as_of,
        lateness_hours=hours_between(snapshot.as_of, snapshot.cut_off),
        interval_hours=hours_between(snapshot.as_of, snapshot.as_of + snapshot.interval) if snapshot.interval else None,
        view=view,
        episode=episode,
        portfolio=journal.portfolio,
        prices=prices,
        equity=equity,
        reference=reference,
        bracket=bracket,
        size=size,
        rules=rules,
    )
    findings = list(ask_all(proposal))
    candidate = _candidate(journal, proposal, findings, rank)
    journal.write(candidate, *_verdicts(candidate, findings))
    if candidate.outcome is Outcome.ENTERED and size is not None and reference is not None:
        _accept_entry(journal, candidate, size.quantity, reference, rules)


def _candidate(journal: Journal, proposal: Proposal, findings: list[tuple[str, Finding]], rank: int) -> Candidate:
    failed = [(name, finding) for name, finding in findings if not finding.passed]
    too_old = any(name == "signal_age" for name, _ in failed)
    run, signal, bracket, size = journal.portfolio.run, proposal.episode.signal_id, proposal.bracket, proposal.size
    return Candidate(
        candidate_id=candidate_id(run, journal.slot, signal),
        run=run,
        slot=journal.slot,
        token_id=proposal.view.instrument.token_id,
        signal_id=signal,
        outcome=Outcome.REJECTED if failed else Outcome.ENTERED,
        first_reason=(failed[0][1].reason or failed[0][0]) if failed else None,
        complete=too_old or not any(finding.unready for _, finding in failed),
        rank=rank,
        reference_price=proposal.reference,
        stop=bracket.stop,
        target=bracket.target,
        stop_source=bracket.stop_source,
        target_source=bracket.target_source,
        stop_level=bracket.stop_level,
        target_level=bracket.target_level,
        reward_risk=None if bracket.reward_risk is None else fraction_half_even(bracket.reward_risk),
        quantity=size.quantity if size else None,
        size_bound=size.bound if size else None,
    )


def _verdicts(candidate: Candidate, findings: list[tuple[str, Finding]]) -> list[Fact]:
    return [
        Verdict(
            candidate_id=candidate.candidate_id,
            run=candidate.run,
            slot=candidate.slot,
            number=number,
            gate=name,
            value=None if finding.value is None else fraction_half_even(finding.value),
            comparator=finding.comparator,
            threshold=finding.threshold,
            passed=finding.passed,
            reason=None if finding.passed else finding.reason or name,
        )
        for number, (name, finding) in enumerate(findings)
    ]


def _accept_entry(journal: Journal, candidate: Candidate, quantity: Quantity, reference: Price, rules: Rules) -> None:
    """Accept the entry of a candidate; its stop and target are born with it, planned."""
    memory = journal.portfolio.remembered(candidate.token_id)
    ordinal = memory.entries(candidate.signal_id)
    born = Order(
        order_id=order_id(candidate.run, candidate.signal_id, Role.ENTRY.value, ordinal),
        run=candidate.run,
        slot=candidate.slot,
        position_id=position_id(candidate.run, candidate.token_id, memory.closed),
        signal_id=candidate.signal_id,
        token_id=candidate.token_id,
        side=rules.side,
        role=Role.ENTRY,
        ordinal=ordinal,
        rank=candidate.rank,
        quantity=quantity,
        price=reference,
        stop=candidate.stop,
        target=candidate.target,
        stop_source=candidate.stop_source,
        target_source=candidate.target_source,
    )
    journal.write(born, event(born, journal.slot, OrderState.ACCEPTED))
    for role, price in ((Role.STOP, candidate.stop), (Role.TARGET, candidate.target)):
        if price is not None:
            child = replace(
                born,
                order_id=order_id(born.run, born.signal_id, role.value, ordinal),
                role=role,
                price=price,
                stop=None,
                target=None,
                stop_source=None,
                target_source=None,
            )
            journal.write(child, event(child, journal.slot, OrderState.PLANNED))
