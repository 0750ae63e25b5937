"""Several targets: each takes its share of the initial quantity, the last the rest; the books split with them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Candidate
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, Side
from bot.domain.positions import Closing
from bot.engine.rules import (
    Anchor,
    FillRules,
    LimitRules,
    PriceRule,
    Rules,
    SameBar,
    SizeRule,
    SizingRules,
    StopRules,
    TargetPart,
    TargetRules,
    VolatilitySource,
)
from tests.notation import Tape, Token, bars, cycles, levels, metrics, play, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
HALF_AT_1R = TargetPart(share=Decimal("0.5"), multiple=Decimal(1))
REST_AT_2R = TargetPart(multiple=Decimal(2))


def parted(*parts: TargetPart, fills: FillRules = FREE, **changes: object) -> Rules:
    """Buy 1000 worth at every turn, stop 5 % below, targets in R."""
    rules = Rules(
        name="parted",
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1), parts=parts or (HALF_AT_1R, REST_AT_2R)),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        fills=fills,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def after_entry(text: str, stance: str = "bullish") -> Tape:
    """Enter at 100 at 01:00, then live through the bars from 02:00 on."""
    return Tape(
        {1: Token(bars=bars("2024-01-01", f"100 | 100 | {text}"), signals=[signal("2024-01-01 01:00", stance)])}
    )


def told(rules: Rules, tape: Tape) -> list[str]:
    """Tell what came after the entry."""
    return play(rules, tape).splitlines()[1:]


def test_each_target_takes_its_share_and_the_last_the_rest() -> None:
    """Half leaves at 105, the rest at 110, each with its own profit."""
    assert told(parted(), after_entry("100 106 99 105 | 105 111 104 110")) == [
        "01-01 02:00 PART T1 5 @ 105 target +25.000000",
        "01-01 03:00 EXIT T1 5 @ 110 target_hit +75.000000",
    ]


def test_one_bar_may_fill_several() -> None:
    """A bar that reaches both fills both."""
    assert told(parted(), after_entry("100 111 99 110")) == [
        "01-01 02:00 PART T1 5 @ 105 target +25.000000",
        "01-01 02:00 EXIT T1 5 @ 110 target_hit +75.000000",
    ]


def test_a_gap_above_several_fills_them_at_their_prices() -> None:
    """An open above both pays each its target, no more."""
    assert told(parted(), after_entry("120 121 119 120"))[-1] == "01-01 02:00 EXIT T1 5 @ 110 target_hit +75.000000"


def test_the_whole_remainder_stops_where_the_stop_is_touched_too() -> None:
    """A bar that reaches the first target and the stop stops everything; the band keeps what could have been."""
    records, _ = cycles(parted(), after_entry("100 106 94 100"))
    fills = [
        fact for record in records for fact in record.facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY
    ]
    assert [(fill.role, fill.quantity, fill.price) for fill in fills] == [(Role.STOP, 10, 95)]
    # at best five leave at 105 before the other five stop at 95
    assert (fills[0].profit_pessimistic, fills[0].profit_optimistic) == (-50, 0)


def test_target_first_takes_what_was_reached_and_stops_the_rest() -> None:
    """With same_bar = target_first the reached half leaves at its target, the rest at the stop; the band says so."""
    rules = parted(fills=replace(FREE, same_bar=SameBar.TARGET_FIRST))
    records, _ = cycles(rules, after_entry("100 106 94 100"))
    fills = [
        fact for record in records for fact in record.facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY
    ]
    assert [(fill.role, fill.price) for fill in fills] == [(Role.TARGET, 105), (Role.STOP, 95)]
    assert sum(fill.profit_pessimistic or 0 for fill in fills) == -50
    assert sum(fill.profit_optimistic or 0 for fill in fills) == 0


def test_the_stop_covers_what_is_left_after_a_part() -> None:
    """After the first half left, a stop sells the other half and the trade ends even."""
    assert told(parted(), after_entry("100 106 99 105 | 100 101 94 95")) == [
        "01-01 02:00 PART T1 5 @ 105 target +25.000000",
        "01-01 03:00 EXIT T1 5 @ 95 stop_hit +0.000000",
    ]


def test_the_books_split_the_cost_and_the_last_part_takes_the_rest() -> None:
    """A third of 10.01 and the rest: costs sum to what was posted, to the micro-dollar, and the profit to the cash."""
    third = TargetPart(share=Decimal("0.333"), multiple=Decimal(1))
    rules = parted(
        third,
        REST_AT_2R,
        fills=replace(FREE, fee_fraction=Decimal("0.001")),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal("0.00000007")),
    )
    records, portfolio = cycles(rules, after_entry("100 106 99 105 | 105 111 104 110"))
    facts = [fact for record in records for fact in record.facts]
    posted = [
        leg.amount
        for fact in facts
        if isinstance(fact, JournalEntry)
        for leg in fact.postings
        if leg.account is Account.POSITION
    ]
    assert sum(posted) == 0
    closing = next(fact for fact in facts if isinstance(fact, Closing))
    assert closing.profit == portfolio.cash - 10000
    bands = [fact for fact in facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY]
    assert sum(fill.profit_pessimistic or 0 for fill in bands) == closing.profit


def test_a_short_leaves_in_parts_too() -> None:
    """Mirrored: half is covered at 95, the rest at 90."""
    rules = parted(sides=frozenset({Side.SHORT}))
    assert play(rules, after_entry("100 101 94 95 | 95 96 89 90", "bearish")).splitlines() == [
        "01-01 01:00 SHORT T1 10 @ 100 stop 105 target 95",
        "01-01 02:00 PART T1 5 @ 95 target +25.000000",
        "01-01 03:00 EXIT T1 5 @ 90 target_hit +75.000000",
    ]


def test_parts_at_levels_by_rank() -> None:
    """Rank 1 and rank 3 of the resistances, with a reward and risk weighted by the shares."""
    parts = (TargetPart(share=Decimal("0.25"), rank=1), TargetPart(rank=3))
    rules = parted(target=TargetRules(rule=PriceRule.LEVEL, parts=parts))
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 90, 104, 108, 112)],
            )
        }
    )
    records, _ = cycles(rules, tape)
    facts = [fact for record in records for fact in record.facts]
    targets = [fact for fact in facts if isinstance(fact, Order) and fact.role is Role.TARGET]
    assert [(order.price, order.quantity, order.share, order.part) for order in targets] == [
        (104, Decimal("2.5"), Decimal("0.25"), None),
        (112, Decimal("7.5"), None, 1),
    ]
    assert len({order.order_id for order in targets}) == 2
    candidate = next(fact for fact in facts if isinstance(fact, Candidate))
    assert candidate.reward_risk == 2  # (0.25 x 4 + 0.75 x 12) / 5


def test_a_missing_rank_is_no_target() -> None:
    """Where a part's level is not there and no fallback is given, the candidate is refused."""
    parts = (TargetPart(share=Decimal("0.25"), rank=1), TargetPart(rank=3))
    rules = parted(target=TargetRules(rule=PriceRule.LEVEL, parts=parts))
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 90, 104, 108)],
            )
        }
    )
    assert play(rules, tape).splitlines() == ["01-01 01:00 SKIP T1 no_target"]


def test_unfilled_targets_are_cancelled_with_the_position() -> None:
    """When the stop takes everything, both target orders end as cancelled."""
    records, portfolio = cycles(parted(), after_entry("100 101 94 95"))
    ended = [
        fact
        for record in records
        for fact in record.facts
        if isinstance(fact, OrderEvent) and fact.state is OrderState.CANCELLED
    ]
    assert len(ended) == 2
    assert not portfolio.orders


def test_a_bracket_anchored_at_the_fill_is_measured_from_it() -> None:
    """Decided at 100, filled at 102: stop 5 % below 102, R from there, and 1000 worth of quantity at 102."""
    rules = parted(stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"), anchor=Anchor.FILL))
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", "100 | 102 103 101 102"), signals=[signal("2024-01-01 01:00", "bullish")])}
    )
    records, portfolio = cycles(rules, tape)
    assert play(rules, tape).splitlines() == ["01-01 01:00 ENTER T1 9.80392156 @ 102 stop 96.9 target 107.1"]
    entry = next(fact for record in records for fact in record.facts if isinstance(fact, Order))
    assert (entry.stop, entry.quantity, entry.equity) == (95, 10, 10000)
    assert sorted(live.order.price for live in portfolio.orders.values()) == [
        Decimal("96.9"),
        Decimal("107.1"),
        Decimal("112.2"),
    ]


def test_an_anchored_bracket_that_is_not_whole_cancels_its_entry() -> None:
    """Filled above every resistance there is no target: the entry is cancelled, nothing is bought."""
    rules = parted(
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"), anchor=Anchor.FILL),
        target=TargetRules(rule=PriceRule.LEVEL),
    )
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 105 106 104 105"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 90, 104)],
            )
        }
    )
    assert play(rules, tape).splitlines() == ["01-01 02:00 CANCELLED order bracket_invalid_at_fill"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"sizing": SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000), weight_max=Decimal("1e-12"))},
            "",
        ),
        (
            {
                "sizing": SizingRules(
                    rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.00495"), notional_min=Decimal(990)
                )
            },
            "cash_at_fill",
        ),
    ],
)
def test_an_anchored_entry_that_became_too_small_is_cancelled(changes: dict[str, object], reason: str) -> None:
    """Its size is found anew at the fill and cancelled below the least notional; too small before, it is refused."""
    rules = parted(stop=StopRules(rule=PriceRule.LEVEL, anchor=Anchor.FILL), target=TargetRules(), **changes)
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 101 101 101 101"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 95)],
            )
        }
    )
    # At 100 the risk is 5 and the notional 990; at 101 it is 6 and the notional 833.
    lines = play(rules, tape).splitlines()
    assert lines[-1].endswith(reason or "SKIP T1 notional")
    assert not any("ENTER" in line for line in lines)


def test_a_share_too_small_for_the_step_has_no_order() -> None:
    """Of three whole units a tenth is none: one target takes all."""
    whole = Instrument(token_id=TokenId(1), symbol=Symbol("T1"), name="Token 1", quantity_step=Decimal(1))
    tenth = TargetPart(share=Decimal("0.1"), multiple=Decimal(1))
    rules = parted(tenth, REST_AT_2R, sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(3)))
    tape = after_entry("100 106 99 105 | 105 111 104 110")
    tape = Tape({1: replace(tape.tokens[1], instrument=whole)})
    assert told(rules, tape) == ["01-01 03:00 EXIT T1 3 @ 110 target_hit +30.000000"]


def test_a_part_that_the_cut_left_nothing_for_is_passed_over() -> None:
    """The cash bought one unit instead of ten: its tenth is nothing, and the rest leaves at the second target."""
    whole = Instrument(token_id=TokenId(1), symbol=Symbol("T1"), name="Token 1", quantity_step=Decimal(1))
    tenth = TargetPart(share=Decimal("0.1"), multiple=Decimal(1))
    rules = parted(
        tenth,
        REST_AT_2R,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.5")),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(10)),
    )
    tape = after_entry("140 151 130 145 | 145 202 144 200").tokens[1]
    gapped = replace(tape, bars=bars("2024-01-01", "100 | 140 | 140 151 130 145 | 145 202 144 200"), instrument=whole)
    lines = play(rules, Tape({1: gapped}), cash="1001").splitlines()
    assert lines == [
        "01-01 01:00 ENTER T1 7 @ 140 stop 50 target 150",
        "01-01 03:00 EXIT T1 7 @ 200 target_hit +420.000000",
    ]


def test_an_anchored_quantity_needs_no_bracket() -> None:
    """Without stop and target the fill still decides the quantity."""
    rules = parted(stop=StopRules(anchor=Anchor.FILL), target=TargetRules())
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", "100 | 125 125 125 125"), signals=[signal("2024-01-01 01:00", "bullish")])}
    )
    assert play(rules, tape) == "01-01 01:00 ENTER T1 8 @ 125 stop - target -"


def test_an_anchored_entry_that_the_cash_does_not_pay_is_cancelled() -> None:
    """One whole unit at 100 was granted; at 125 the cash pays none."""
    whole = Instrument(token_id=TokenId(1), symbol=Symbol("T1"), name="Token 1", quantity_step=Decimal(1))
    costly = replace(FREE, slippage_fraction=Decimal("0.5"))
    rules = parted(
        stop=StopRules(anchor=Anchor.FILL),
        target=TargetRules(),
        fills=costly,
        sizing=SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.6")),
    )
    token = Token(
        bars=bars("2024-01-01", "100 | 118 118 118 118"),
        signals=[signal("2024-01-01 01:00", "bullish")],
        instrument=whole,
    )
    assert play(rules, Tape({1: token}), cash="170").splitlines() == ["01-01 02:00 CANCELLED order cash_at_fill"]


def test_an_anchored_short_is_cancelled_where_its_margin_grew_beyond_the_cash() -> None:
    """One whole unit was granted at 50; at 100 its cover and margin tie up 200 and its proceeds bring 50: too much."""
    whole = Instrument(token_id=TokenId(1), symbol=Symbol("T1"), name="Token 1", quantity_step=Decimal(1))
    rules = parted(
        sides=frozenset({Side.SHORT}),
        stop=StopRules(anchor=Anchor.FILL),
        target=TargetRules(),
        fills=replace(FREE, slippage_fraction=Decimal("0.5")),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(1)),
    )
    token = Token(
        bars=bars("2024-01-01", "50 | 100 100 100 100"),
        signals=[signal("2024-01-01 01:00", "bearish")],
        instrument=whole,
    )
    told = play(rules, Tape({1: token}), cash="100").splitlines()
    assert told == ["01-01 02:00 CANCELLED order cash_at_fill"]


def test_an_anchored_entry_keeps_to_the_largest_exposure() -> None:
    """Decided at 100 with the stop at 80, filled at 81: 1 % of risk would buy 8100, the exposure leaves 1000."""
    rules = parted(
        stop=StopRules(rule=PriceRule.LEVEL, anchor=Anchor.FILL),
        target=TargetRules(),
        sizing=SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")),
        limits=LimitRules(exposure_max=Decimal("0.1")),
    )
    token = Token(
        bars=bars("2024-01-01", "100 | 81 81 81 81"),
        signals=[signal("2024-01-01 01:00", "bullish")],
        levels=[levels("2024-01-01 00:30", 80)],
    )
    assert play(rules, Tape({1: token})) == "01-01 01:00 ENTER T1 12.34567901 @ 81 stop 80 target -"


def test_an_anchored_entry_without_room_is_cancelled() -> None:
    """What is held has grown to the whole exposure when the second entry fills."""
    rules = parted(
        stop=StopRules(anchor=Anchor.FILL),
        target=TargetRules(),
        limits=LimitRules(exposure_max=Decimal("0.2")),
    )
    first = Token(
        bars=bars("2024-01-01", "100 | 100 | 100 | 250 | 250 | 250"), signals=[signal("2024-01-01 01:00", "bullish")]
    )
    second = Token(
        bars=bars("2024-01-01", "50 | 50 | - | - | 50 | 50"), signals=[signal("2024-01-01 02:00", "bullish", 2)]
    )
    told = play(rules, Tape({1: first, 2: second})).splitlines()
    assert told[-1] == "01-01 05:00 CANCELLED order exposure_at_fill"


def test_an_anchored_entry_keeps_the_haircut_and_weight_of_its_slot() -> None:
    """The book's drawdown when it was decided sizes it, whatever high the account makes before the fill."""
    records, _ = cycles(
        parted(
            stop=StopRules(anchor=Anchor.FILL),
            target=TargetRules(),
            sizing=SizingRules(
                rule=SizeRule.NORMALISED_INVERSE_VOLATILITY,
                volatility=VolatilitySource.QUANTMETRICS,
                weight_max=Decimal("0.5"),
                drawdown_haircut=Decimal(1),
            ),
        ),
        Tape(
            {
                1: Token(
                    bars=bars("2024-01-01", "100 | 100 | 100"),
                    signals=[signal("2024-01-01 01:00", "bullish")],
                    metrics=[metrics("2024-01-01 00:00", "0.5", max_drawdown="-0.2")],
                )
            }
        ),
    )
    orders = [fact for record in records for fact in record.facts if isinstance(fact, Order)]
    fills = [fact for record in records for fact in record.facts if isinstance(fact, Fill)]
    assert (orders[0].quantity, orders[0].weight, fills[0].quantity) == (40, 1, 40)  # half of 10000, less a fifth


def test_an_anchored_bracket_is_measured_from_the_price_that_was_paid() -> None:
    """Filled at 102 with one percent of slippage the entry costs 103.02: stop, target and quantity are from there."""
    rules = parted(
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"), anchor=Anchor.FILL),
        fills=replace(FREE, slippage_fraction=Decimal("0.01")),
    )
    token = Token(bars=bars("2024-01-01", "100 | 102 103 101 102"), signals=[signal("2024-01-01 01:00", "bullish")])
    assert play(rules, Tape({1: token})) == "01-01 01:00 ENTER T1 9.70685303 @ 103.02 stop 97.869 target 108.171"


def test_an_anchored_stop_at_the_price_itself_cancels_its_entry() -> None:
    """The stop is measured from the price paid, 102, and lies at the raw price, 100: nothing is bought."""
    rules = parted(
        stop=StopRules(rule=PriceRule.LEVEL, anchor=Anchor.FILL),
        target=TargetRules(),
        fills=replace(FREE, slippage_fraction=Decimal("0.02")),
    )
    token = Token(
        bars=bars("2024-01-01", "101 | 100 101 99 100"),
        signals=[signal("2024-01-01 01:00", "bullish")],
        levels=[levels("2024-01-01 00:30", 100)],
    )
    assert play(rules, Tape({1: token})).splitlines()[-1].endswith("bracket_invalid_at_fill")


def test_the_risk_of_an_anchored_entry_counts_its_costs_once() -> None:
    """One percent of 10000 is lost at the stop, whether the bracket hangs on the reference price or on the fill."""
    losses = []
    for anchor in Anchor:
        rules = parted(
            stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"), anchor=anchor),
            target=TargetRules(),
            fills=replace(FREE, slippage_fraction=Decimal("0.02")),
            sizing=SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")),
        )
        lines = play(rules, after_entry("100 100 90 95")).splitlines()
        losses.append(round(Decimal(lines[-1].split()[-1]), 2))
    assert losses == [-100, -100]
