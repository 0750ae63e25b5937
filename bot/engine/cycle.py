"""One cycle as pure functions: settle what has happened, then decide, and apply the facts.

Live and replay call the same functions. `settle` and `decide` return the facts and the account that
`apply` would reach from them, here and at a restart. Time comes only from the snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from bot.domain.amend import amend
from bot.domain.decisions import Candidate, EquityMark, Fact, Outcome, Verdict
from bot.domain.ids import TokenId, candidate_id
from bot.domain.market import Bar, Quote, one_price
from bot.domain.numbers import EXACT, Price, fraction_half_even
from bot.domain.orders import Anchor
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Mark, Position
from bot.domain.signals import Episode
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.account import NOTHING_PASSED, coming_cash, free_cash, in_category, mark_prices
from bot.engine.ages import hours_between
from bot.engine.benchmark import mark_benchmark
from bot.engine.brackets import Bracket
from bot.engine.breakers import obey, watch
from bot.engine.candidates import SIDES, in_rank, is_due
from bot.engine.entries import Grant, accept_entry
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

    snapshot: Snapshot
    mark: EquityMark
    prices: Mapping[TokenId, Price]
    weights: Mapping[TokenId, Decimal]
    failed: Mapping[TokenId, str]
    rules: Rules


def settle(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Settle the bars and quotes that the portfolio has not seen, then expire old entries."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of, snapshot.cut_off)
        settle_prints(journal, snapshot.tokens, snapshot.granted, rules)
        expire(journal)
        prices = mark_prices(journal.portfolio, snapshot.tokens, rules, snapshot.passed)
        journal.write(*_marks(journal, prices, snapshot.passed))
        return journal.result()


def fill_quotes(snapshot: Snapshot, portfolio: Portfolio, quotes: tuple[Quote, ...], rules: Rules) -> Acted:
    """Fill the orders accepted at this slot at prices fetched after the decision."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of, snapshot.cut_off)
        views = {
            quote.token_id: replace(
                snapshot.tokens[quote.token_id],
                prints=(one_price(quote.known_at, quote.price),),
                last_traded=None,
            )
            for quote in quotes
        }
        # An entry of this slot whose bracket is anchored at the fill was decided on these views.
        granted = {
            order_id: snapshot.tokens[live.order.token_id]
            for order_id, live in portfolio.orders.items()
            if live.order.is_anchored_at_fill and live.order.slot == snapshot.as_of
        }
        settled = {
            token_id: replace(view, prints=(), last_traded=None) for token_id, view in snapshot.tokens.items()
        }
        # Only the new quotes have prints here; all other prints are settled already.
        settle_prints(journal, settled | views, {**snapshot.granted, **granted}, rules)
        opened = {fact.position_id for fact in journal.facts if isinstance(fact, Position)}
        marks = _marks(journal, mark_prices(journal.portfolio, views, rules))
        journal.write(*(mark for mark in marks if mark.position_id in opened))
        return journal.result()


def decide(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Mark the account, then decide exits, stop moves and entries at a slot.

    The order matters: operator requests, breakers, exits, stops moved to the levels of the slot,
    then each candidate in rank order, which sees what earlier ones have used.
    """
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of, snapshot.cut_off)
        prices = mark_prices(portfolio, snapshot.tokens, rules, snapshot.passed)
        mark = _mark(journal, snapshot, prices)
        obey(journal, snapshot, mark)
        watch(journal, mark, snapshot, rules)
        decide_exits(journal, snapshot.tokens, rules)
        ratchet_stops(journal, snapshot, rules)
        due = _candidates(journal, snapshot, rules)
        views = {token_id: one.view for token_id, one in due.items()}
        brackets = {token_id: one.bracket for token_id, one in due.items()}
        scores, failed = hook_scores(brackets, views, rules)
        weights = normalised_weights(views, rules)
        bench = Bench(snapshot=snapshot, mark=mark, prices=prices, weights=weights, failed=failed, rules=rules)
        for rank, token_id in enumerate(in_rank(brackets, views, rules, scores)):
            _judge(journal, due[token_id], rank, bench)
        return journal.result()


def mark_only(snapshot: Snapshot, portfolio: Portfolio, rules: Rules) -> Acted:
    """Mark the account and decide nothing, as at the end of a replay's window."""
    with localcontext(EXACT):
        journal = Journal(portfolio, snapshot.as_of, snapshot.cut_off)
        _mark(journal, snapshot, mark_prices(portfolio, snapshot.tokens, rules, snapshot.passed))
        return journal.result()


def _mark(journal: Journal, snapshot: Snapshot, prices: Mapping[TokenId, Price]) -> EquityMark:
    """Write the mark of the account, with the benchmark when the snapshot asks for it."""
    mark = mark_equity(journal.portfolio, journal.slot, prices)
    benchmark = mark_benchmark(journal, snapshot, mark.equity)
    mark = mark if benchmark is None else amend(mark, benchmark=benchmark)
    journal.write(mark)
    return mark


def _candidates(journal: Journal, snapshot: Snapshot, rules: Rules) -> dict[TokenId, Due]:
    """Collect the candidates of the slot, each with the bracket that it would have."""
    found: dict[TokenId, Due] = {}
    for token_id, seen in snapshot.tokens.items():
        episode = seen.episode
        if episode is None or not seen.followed or not is_due(journal.portfolio, episode, rules):
            continue
        view = read_levels(seen, rules.levels, snapshot.as_of)
        bracket, refused = Bracket(side=SIDES[episode.turn.stance]), None
        if view.price is not None:
            placed = place_bracket(view, view.price.price, bracket.side, rules)
            bracket, refused = adjusted_bracket(view, placed, view.price.price, rules)
        found[token_id] = Due(view=view, episode=episode, bracket=bracket, refused=refused)
    return found


def _marks(
    journal: Journal,
    prices: Mapping[TokenId, Price],
    passed: Mapping[TokenId, tuple[Bar, ...]] = NOTHING_PASSED,
) -> list[Mark]:
    """Build the marks of all positions.

    Bars that were passed over, because they touch no stop or target, still widen the extremes.
    """
    found = []
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        prints = passed.get(token_id, ())
        found.append(
            Mark(
                position_id=holding.position.position_id,
                run=holding.position.run,
                slot=journal.slot,
                price=prices[token_id],
                low=min([holding.low, *(bar.low for bar in prints if not bar.is_quiet)]),
                high=max([holding.high, *(bar.high for bar in prints if not bar.is_quiet)]),
            )
        )
    return found


def _judge(journal: Journal, due: Due, rank: int, bench: Bench) -> None:
    """Ask every gate about one candidate, write the verdicts, and accept the entry if all pass."""
    snapshot, rules, view = bench.snapshot, bench.rules, due.view
    means = _means(journal, due, bench)
    size = None
    if view.price is not None:
        size = size_entry(view, view.price.price, due.bracket, means, rules)
    proposal = Proposal(
        as_of=snapshot.as_of,
        lateness_hours=hours_between(snapshot.as_of, snapshot.cut_off),
        interval_hours=hours_between(snapshot.as_of, snapshot.as_of + snapshot.interval)
        if snapshot.interval
        else None,
        view=view,
        views=snapshot.tokens,
        episode=due.episode,
        portfolio=journal.portfolio,
        prices=bench.prices,
        equity=bench.mark.equity,
        reference=view.price.price if view.price else None,
        bracket=due.bracket,
        size=size,
        veto=due.refused or bench.failed.get(view.instrument.token_id) or veto(view, due.bracket, rules),
        rules=rules,
    )
    findings = list(ask_all(proposal))
    candidate = _candidate(journal, proposal, findings, rank)
    levels = candidate_levels(candidate.candidate_id, candidate.run, candidate.slot, view, rules.levels)
    journal.write(candidate, *_verdicts(candidate, findings), *levels)
    if candidate.outcome is Outcome.ENTERED and size is not None:
        grant = Grant(means, snapshot.cut_off, view.instrument.quantity_step)
        accept_entry(journal, candidate, due.bracket, size.quantity, grant, rules)


def _means(journal: Journal, due: Due, bench: Bench) -> Means:
    """Build the account as earlier candidates of the slot have left it.

    A quantity computed at the fill uses the cash of the fill, after the exits at the same open, so
    the cash that those exits will bring counts here too.
    """
    instrument, portfolio = due.view.instrument, journal.portfolio
    free = free_cash(portfolio, bench.prices, bench.rules)
    if bench.rules.stop.anchor is Anchor.FILL:
        free += coming_cash(portfolio, bench.prices, bench.rules)
    return Means(
        equity=bench.mark.equity,
        free_cash=free,
        category_notional=in_category(portfolio, bench.prices, bench.snapshot.tokens, instrument.category),
        drawdown=bench.mark.drawdown,
        weight=bench.weights.get(instrument.token_id),
    )


def _candidate(
    journal: Journal, proposal: Proposal, findings: list[tuple[str, Finding]], rank: int
) -> Candidate:
    failed = [(name, finding) for name, finding in findings if not finding.passed]
    # A signal that is too old cannot pass later, so missing input does not keep it open.
    too_old = any(name == "signal_age" for name, _ in failed)
    run, signal, bracket, size = (
        journal.portfolio.run,
        proposal.episode.signal_id,
        proposal.bracket,
        proposal.size,
    )
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
        side=bracket.side,
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
