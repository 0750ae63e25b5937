"""One cycle as pure functions: settle what has happened, then decide, and apply the facts.

Live and replay call the same functions. `settle` and `decide` return the facts and the account that
`apply` would reach from them, here and at a restart. Time comes only from the snapshot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from bot.domain.amend import amend
from bot.domain.decisions import Candidate, EquityMark, Fact, Outcome, Verdict
from bot.domain.ids import TokenId, candidate_id
from bot.domain.market import Quote, one_price
from bot.domain.numbers import EXACT, Price, fraction_half_even
from bot.domain.orders import Anchor
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Mark, Position
from bot.domain.signals import Episode
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.account import coming_cash, free_cash, in_category
from bot.engine.ages import hours_between
from bot.engine.benchmark import mark_benchmark
from bot.engine.brackets import Bracket
from bot.engine.breakers import obey, watch
from bot.engine.candidates import SIDES, in_rank, is_due
from bot.engine.entries import accept_entry
from bot.engine.equity import mark_equity
from bot.engine.exits import decide_exits
from bot.engine.fold import fold as apply
from bot.engine.gates.table import Finding, Proposal, ask_all
from bot.engine.hooks import adjusted_bracket, hook_scores, veto
from bot.engine.journal import Acted, Journal
from bot.engine.levels import candidate_levels, read_levels
from bot.engine.placement import place_bracket
from bot.engine.rules import Rules
from bot.engine.settlement import expire, settle_prints
from bot.engine.sizing import Means, normalised_weights, size_entry
from bot.engine.stops import ratchet_stops

__all__ = ["apply", "decide", "fill_quotes", "mark_only", "settle"]

Quotes = Sequence[Quote]
Findings = Sequence[tuple[str, Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A candidate with the bracket that it would have.

    refused: why a hook's bracket could not be used.
    """

    view: TokenView
    episode: Episode
    bracket: Bracket
    refused: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all candidates of a slot are judged with.

    weights: the normalised weights, by token. failed: why a rank hook gave no score, by token.
    """

    mark: EquityMark
    prices: Mapping[TokenId, Price]
    weights: Mapping[TokenId, Decimal]
    failed: Mapping[TokenId, str]


def settle(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Settle the bars and quotes that the portfolio has not seen, then expire old entries."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot, rules)
        settle_prints(journal)
        expire(journal)
        journal.write(*_marks(journal))
        return journal.result()


def fill_quotes(snapshot: Snapshot, portfolio: Portfolio, quotes: Quotes, rules: Rules) -> Acted:
    """Fill the orders accepted at this slot at prices fetched after the decision."""
    with localcontext(EXACT):
        # Only the new quotes have prints here; all other prints are settled already.
        new = {one.token_id: (one_price(one.known_at, one.price),) for one in quotes}
        tokens = {
            token_id: replace(view, prints=new.get(token_id, ()), last_traded=None)
            for token_id, view in snapshot.tokens.items()
        }
        # An entry of this slot whose bracket is anchored at the fill was decided on these views.
        granted = {
            order_id: snapshot.tokens[live.order.token_id]
            for order_id, live in portfolio.orders.items()
            if live.order.is_anchored_at_fill and live.order.slot == snapshot.as_of
        }
        seen = replace(snapshot, tokens=tokens, granted={**snapshot.granted, **granted}, passed={})
        journal = Journal(portfolio, seen, rules)
        settle_prints(journal)
        opened = {fact.position_id for fact in journal.facts if isinstance(fact, Position)}
        journal.write(*(mark for mark in _marks(journal) if mark.position_id in opened))
        return journal.result()


def decide(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Mark the account, then decide exits, stop moves and entries at a slot.

    The order matters: operator requests, breakers, exits, stops moved to the levels of the slot,
    then each candidate in rank order, which sees what earlier ones have used.
    """
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot, rules)
        prices = journal.mark_prices()
        mark = _mark(journal, prices)
        obey(journal, mark)
        watch(journal, mark)
        decide_exits(journal)
        ratchet_stops(journal)
        due = _candidates(journal)
        views = {token_id: one.view for token_id, one in due.items()}
        brackets = {token_id: one.bracket for token_id, one in due.items()}
        scores, failed = hook_scores(brackets, views, rules)
        weights = normalised_weights(views, rules)
        bench = Bench(mark=mark, prices=prices, weights=weights, failed=failed)
        for rank, token_id in enumerate(in_rank(brackets, views, rules, scores)):
            _judge(journal, due[token_id], rank, bench)
        return journal.result()


def mark_only(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Mark the account and decide nothing, as at the end of a replay's window."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot, rules)
        _mark(journal, journal.mark_prices())
        return journal.result()


def _mark(journal: Journal, prices: Mapping[TokenId, Price]) -> EquityMark:
    """Write the mark of the account, with the benchmark when the snapshot asks for it."""
    mark = mark_equity(journal.portfolio, journal.slot, prices)
    benchmark = mark_benchmark(journal, mark.equity)
    mark = mark if benchmark is None else amend(mark, benchmark=benchmark)
    journal.write(mark)
    return mark


def _candidates(journal: Journal) -> dict[TokenId, Due]:
    """Collect the candidates of the slot, each with the bracket that it would have."""
    found: dict[TokenId, Due] = {}
    rules = journal.rules
    for token_id, seen in journal.views.items():
        episode = seen.episode
        if episode is None or not seen.followed or not is_due(journal.portfolio, episode, rules):
            continue
        view = read_levels(seen, rules.levels, journal.slot)
        bracket, refused = Bracket(side=SIDES[episode.turn.stance]), None
        if view.price is not None:
            placed = place_bracket(view, view.price.price, bracket.side, rules)
            bracket, refused = adjusted_bracket(view, placed, view.price.price, rules)
        found[token_id] = Due(view=view, episode=episode, bracket=bracket, refused=refused)
    return found


def _marks(journal: Journal) -> list[Mark]:
    """Build the marks of all positions.

    Bars that were passed over, because they touch no stop or target, still widen the extremes.
    """
    found, prices = [], journal.mark_prices()
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        passed = [bar for bar in journal.snapshot.passed.get(token_id, ()) if not bar.is_quiet]
        mark = Mark(
            position_id=holding.position.position_id,
            run=holding.position.run,
            slot=journal.slot,
            price=prices[token_id],
            low=min([holding.low, *(bar.low for bar in passed)]),
            high=max([holding.high, *(bar.high for bar in passed)]),
        )
        found.append(mark)
    return found


def _judge(journal: Journal, due: Due, rank: int, bench: Bench) -> None:
    """Ask every gate about one candidate, write the verdicts, and accept the entry if all pass."""
    rules, view, slot, interval = journal.rules, due.view, journal.slot, journal.snapshot.interval
    means, reference = _means(journal, due, bench), view.price.price if view.price else None
    failed = due.refused or bench.failed.get(view.instrument.token_id)
    size = size_entry(view, reference, due.bracket, means, rules) if reference else None
    proposal = Proposal(
        as_of=slot,
        lateness_hours=hours_between(slot, journal.snapshot.cut_off),
        interval_hours=hours_between(slot, slot + interval) if interval else None,
        view=view,
        views=journal.views,
        episode=due.episode,
        portfolio=journal.portfolio,
        prices=bench.prices,
        equity=bench.mark.equity,
        reference=reference,
        bracket=due.bracket,
        size=size,
        veto=failed or veto(view, due.bracket, rules),
        rules=rules,
    )
    findings = list(ask_all(proposal))
    candidate = _candidate(journal, proposal, findings, rank)
    name, run = candidate.candidate_id, candidate.run
    levels = candidate_levels(name, run, slot, view, rules.levels)
    journal.write(candidate, *_verdicts(candidate, findings), *levels)
    if candidate.outcome is Outcome.ENTERED and size is not None:
        accept_entry(journal, candidate, due.bracket, size.quantity, means)


def _means(journal: Journal, due: Due, bench: Bench) -> Means:
    """Build the account as earlier candidates of the slot have left it.

    A quantity computed at the fill uses the cash of the fill, after the exits at the same open, so
    the cash that those exits will bring counts here too.
    """
    instrument, portfolio, rules = due.view.instrument, journal.portfolio, journal.rules
    free = free_cash(portfolio, bench.prices, rules)
    if rules.stop.anchor is Anchor.FILL:
        free += coming_cash(portfolio, bench.prices, rules)
    return Means(
        equity=bench.mark.equity,
        free_cash=free,
        category_notional=in_category(portfolio, bench.prices, journal.views, instrument.category),
        drawdown=bench.mark.drawdown,
        weight=bench.weights.get(instrument.token_id),
    )


def _candidate(journal: Journal, proposal: Proposal, findings: Findings, rank: int) -> Candidate:
    failed = [(name, finding) for name, finding in findings if not finding.passed]
    # A signal that is too old cannot pass later, so missing input does not keep it open.
    too_old = any(name == "signal_age" for name, _ in failed)
    run, signal = journal.portfolio.run, proposal.episode.signal_id
    bracket, size = proposal.bracket, proposal.size
    ratio = bracket.reward_risk
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
        reward_risk=None if ratio is None else fraction_half_even(ratio),
        quantity=size.quantity if size else None,
        size_bound=size.bound if size else None,
        side=bracket.side,
    )


def _verdicts(candidate: Candidate, findings: Findings) -> list[Fact]:
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
