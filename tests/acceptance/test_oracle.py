"""The oracle on examples small enough to be computed by hand.

Every expected number here was worked out on paper from the description, not read off a run.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sqrt

import pytest

from tests.acceptance.bracket_rules import find_stop, find_target
from tests.acceptance.day_figures import Day, annual_sigma, mean_true_range
from tests.acceptance.folder_reader import DEFAULT_STEP, Bar, Dated, History, read_strategy
from tests.acceptance.oracle import replay
from tests.acceptance.outcome import Outcome

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CASH = Decimal(100_000)
FREE = """
[fills]
fee_fraction = 0
half_spread_fraction = 0
slippage_fraction = 0
"""
SIMPLE = """
[strategy]
name = "simple"
universe = "*"
[stop]
rule = "fraction"
fraction = 0.05
[target]
rule = "fraction"
fraction = 0.10
[sizing]
rule = "fixed_notional"
notional = 1000
"""


def history_of(*rows: tuple[str, str]) -> History:
    """Return a history of tokens 1, 2, ...: bars as `open high low close, ...`, stances as `hour:stance ...`."""
    history = History()
    for token, (bars, stances) in enumerate(rows, start=1):
        history.symbols[token], history.steps[token], history.bars[token] = f"T{token}", DEFAULT_STEP, []
        for index, prices in enumerate(bars.split(",")):
            if prices.strip() != "-":
                opened_at = START + index * HOUR
                history.bars[token].append(Bar(opened_at, opened_at + HOUR, *map(Decimal, prices.split())))
        history.stances[token] = Dated()
        for turn in stances.split():
            hour, stance = turn.split(":")
            history.stances[token].add(START + int(hour) * HOUR, stance)
    return history


def play(history: History, text: str = SIMPLE) -> Outcome:
    """Replay a small history on 100,000 of cash."""
    return replay(history, read_strategy(text), CASH)


def test_a_gapped_stop_sells_at_the_open_and_pays_cost_and_fee() -> None:
    """A bar that opens below the stop closes the trade at its open; every cent of the round trip is accounted for."""
    outcome = play(history_of(("100 100 100 100, 100 101 96 97, 94 99 93 98", "1:bullish")))
    (trade,) = outcome.trades
    assert (trade.opened_at, trade.closed_at) == (START + HOUR, START + 2 * HOUR)
    assert (trade.exit_reason, trade.gapped) == ("stop_hit", True)
    assert (trade.entry_price, trade.exit_price) == (Decimal("100.07"), Decimal("93.9342"))
    assert trade.quantity == 10
    assert (trade.fees, trade.profit) == (Decimal("1.940042"), Decimal("-63.298042"))
    assert outcome.marks[START + 3 * HOUR] == (Decimal("99936.701958"), Decimal("99936.701958"))


def test_a_bar_that_holds_both_prices_stops() -> None:
    """Where a bar touches stop and target the stop counts, on the entry bar too."""
    (trade,) = play(history_of(("100 100 100 100, 100 111 95 100", "1:bullish")), SIMPLE + FREE).trades
    assert (trade.exit_reason, trade.exit_price, trade.profit) == ("stop_hit", Decimal(95), Decimal(-50))


def test_a_target_fills_at_its_price_for_the_fee_alone() -> None:
    """An open above the target still sells at the target, without spread and slippage."""
    (trade,) = play(history_of(("100 100 100 100, 100 101 99 100, 120 121 119 120", "1:bullish"))).trades
    assert (trade.exit_reason, trade.exit_price) == ("target_hit", Decimal(110))
    assert trade.profit == Decimal(1100) - Decimal("1000.7") - Decimal("1.0007") - Decimal("1.1")


def test_an_ordered_exit_goes_before_the_gap() -> None:
    """A bearish turn known at a slot sells at the next open, even where that open gaps through the stop."""
    bars = "100 100 100 100, 100 101 99 100, 90 91 89 90"
    (trade,) = play(history_of((bars, "1:bullish 2:bearish")), SIMPLE + FREE).trades
    assert (trade.exit_reason, trade.exit_price, trade.closed_at) == ("signal_flipped", Decimal(90), START + 2 * HOUR)


def test_a_time_stop_is_ordered_when_the_hours_are_full() -> None:
    """After two whole hours the time stop is ordered, and the open that follows closes the trade."""
    bars = "100 100 100 100" + ", 100 101 99 100" * 4
    timed = SIMPLE + '[exits]\nrules = ["stop_hit", "time_stop"]\ntime_stop_hours = 2\n' + FREE
    (trade,) = play(history_of((bars, "1:bullish")), timed).trades
    assert (trade.exit_reason, trade.closed_at) == ("time_stop", START + 3 * HOUR)


def test_an_open_on_the_stop_cancels_the_entry() -> None:
    """An entry whose first open lies on its stop is cancelled, and the episode is spent."""
    outcome = play(history_of(("100 100 100 100, 95 96 95 96, 96 97 96 97", "1:bullish")))
    assert [(entry.token, reason) for entry, reason in outcome.cancelled] == [(1, "bracket_invalid_at_fill")]
    assert (outcome.trades, len(outcome.accepted)) == ([], 1)


def test_a_waiting_entry_is_cancelled_by_a_bearish_turn() -> None:
    """A token without a bar after the slot keeps its entry waiting, until it turns bearish."""
    clock = "50 50 50 50" + ", 50 50 50 50" * 4
    outcome = play(history_of((clock, ""), ("100 100 100 100, -, -, 100 100 100 100", "1:bullish 3:bearish")))
    assert [(entry.token, reason) for entry, reason in outcome.cancelled] == [(2, "bearish")]


def test_later_candidates_see_what_earlier_ones_were_granted() -> None:
    """With 100,000 and 60,000 a trade the second gets 40,000 of cash, and the third finds no place."""
    text = SIMPLE.replace("notional = 1000", "notional = 60000") + "[limits]\npositions_max = 2\n" + FREE
    rows = [("100 100 100 100, 100 101 99 100", "1:bullish")] * 3
    outcome = play(history_of(*rows), text)
    granted = [(entry.quantity, entry.bound) for entry in outcome.accepted]
    assert granted == [(Decimal(600), "rule"), (Decimal(400), "cash")]
    assert [refusal.failed for refusal in outcome.refusals] == [["positions_max", "notional_min"]]
    least = text.replace("notional = 60000", "notional = 60000\nnotional_min = 50000")
    assert [refusal.failed for refusal in play(history_of(*rows[:2]), least).refusals] == [["notional_min"]]


def test_an_entry_dearer_than_the_cash_is_cut() -> None:
    """All the cash at 100 buys 1000; at an open of 104 it buys 961.53846153."""
    text = SIMPLE.replace("notional = 1000", "notional = 100000") + FREE
    (trade,) = play(history_of(("100 100 100 100, 104 105 103 104", "1:bullish")), text).trades
    assert trade.quantity == Decimal("961.53846153")


def test_a_candidate_waits_for_a_missing_grade() -> None:
    """Without a grade the candidate is not judged; when it comes, the entry is made at that slot."""
    history = history_of(("100 100 100 100" + ", 100 101 99 100" * 4, "1:bullish"))
    history.grades[1] = Dated([START + 3 * HOUR], [{"trader_grade": Decimal(80)}])
    outcome = play(history, SIMPLE + "[gates]\ntrader_grade_min = 80\n")
    assert [entry.accepted_at for entry in outcome.accepted] == [START + 3 * HOUR]
    assert outcome.pending == [(START + HOUR, 1), (START + 2 * HOUR, 1)]


def test_a_candidate_grows_too_old() -> None:
    """A candidate without its grade is refused at the first slot more than 72 hours after its turn."""
    history = history_of(("100 100 100 100" + ", 100 101 99 100" * 80, "1:bullish"))
    outcome = play(history, SIMPLE + "[gates]\ntrader_grade_min = 80\n")
    assert [(refusal.slot, refusal.failed) for refusal in outcome.refusals] == [(START + 74 * HOUR, ["age"])]


def test_levels_too_near_are_passed_over_and_the_one_on_the_price_is_neither() -> None:
    """Of 99.5 and 97 the second leaves the stop its distance; of 101 and 104 the second pays; 100 is no level."""
    strategy = read_strategy(
        '[gates]\nreward_risk_min = 0.8\n[stop]\nrule = "level"\nbuffer_fraction = 0.01\ndistance_min = 0.02\n'
        '[target]\nrule = "level"\nbuffer_fraction = 0.005\nrank_max = 2\n'
    )
    levels = [Decimal(text) for text in ("100", "99.5", "97", "101", "104")]
    stop = find_stop(strategy, Decimal(100), levels, None)
    assert stop == Decimal("96.03")
    odds = (Decimal(0), Decimal(0))
    assert find_target(strategy, Decimal(100), stop, levels, odds) == (True, Decimal("103.48"))
    strategy["target"]["rank_max"] = 1
    assert find_target(strategy, Decimal(100), stop, levels, odds) == (False, None)


def test_a_fallback_outside_the_window_is_refused() -> None:
    """A fallback at 5 % is no stop where 4 % is the most."""
    strategy = read_strategy(
        '[stop]\nrule = "level"\ndistance_max = 0.04\n[stop.fallback]\nrule = "fraction"\nfraction = 0.05\n'
    )
    assert find_stop(strategy, Decimal(100), [], None) is None
    strategy["stop"]["distance_max"] = Decimal("0.05")
    assert find_stop(strategy, Decimal(100), [], None) == 95


def test_sigma_of_one_move_after_nine_calm_days() -> None:
    """For nine returns of zero and one of 10 % the weighted deviation has a closed form."""
    days = [Day(Decimal(1), Decimal(1), Decimal(100))] * 10 + [Day(Decimal(1), Decimal(1), Decimal(110))]
    keep = 17 / 18
    weight, squares = (1 - keep**10) / (1 - keep), (1 - keep**20) / (1 - keep**2)
    expected = 0.1 * sqrt((weight - 1) / (weight**2 - squares)) * sqrt(365)
    assert float(annual_sigma(days) or 0) == pytest.approx(expected, rel=1e-12)
    assert annual_sigma(days[1:]) is None


def test_true_range_reaches_back_to_the_close_before() -> None:
    """The first day counts 3, a day that jumped from 100 to 105..106 counts 6, twelve calm days count 1 each."""
    first, jumped = Day(Decimal(102), Decimal(99), Decimal(100)), Day(Decimal(106), Decimal(105), Decimal(106))
    calm = Day(Decimal(106), Decimal(105), Decimal(106))
    assert mean_true_range([first, jumped, *[calm] * 12]) == Decimal(3 + 6 + 12) / 14
    assert mean_true_range([first, jumped, *[calm] * 13]) == Decimal(6 + 13) / 14
    assert mean_true_range([first, jumped, *[calm] * 11]) is None


def test_inverse_volatility_shares_the_book_among_the_places() -> None:
    """At 20 % wanted, 80 % had and 5 places, 100,000 gives a position of 5,000."""
    history = history_of(("100 100 100 100, 100 101 99 100", "1:bullish"))
    history.quantmetrics[1] = Dated([START], [{"volatility": Decimal("0.8")}])
    text = SIMPLE.replace(
        'rule = "fixed_notional"\nnotional = 1000',
        'rule = "inverse_volatility"\nvolatility = "quantmetrics"\ntarget_volatility = 0.2',
    )
    (entry,) = play(history, text + "[limits]\npositions_max = 5\n").accepted
    assert entry.quantity * 100 == 5000


def test_a_risk_budget_counts_the_cost_of_both_ways() -> None:
    """One percent of 100,000 over a loss of 5 a unit buys 200; with 2 % of cost each way the loss is 8.9."""
    sized = SIMPLE.replace('rule = "fixed_notional"\nnotional = 1000', 'rule = "risk_fraction"\nrisk_fraction = 0.01')
    history = history_of(("100 100 100 100, 100 101 99 100", "1:bullish"))
    (entry,) = play(history, sized + FREE).accepted
    assert entry.quantity == 200
    dear = FREE.replace("half_spread_fraction = 0\n", "half_spread_fraction = 0.02\n")
    (entry,) = play(history, sized + dear).accepted
    assert entry.quantity == Decimal("112.35955056")  # 1000 / (102 - 93.1)
