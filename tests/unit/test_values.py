"""Numbers, ids and order states: the small promises everything else stands on."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.amend import amend
from bot.domain.errors import InvariantError
from bot.domain.ids import OrderId, RunName, SignalId, canonical, derive, order_id
from bot.domain.market import one_price
from bot.domain.numbers import Price, ceil_to_step, floor_to_step, from_float, micro_half_even, plain, price_half_even
from bot.domain.orders import TRANSITIONS, OrderEvent, OrderState, check_transition
from bot.domain.tape import timeframe_of
from bot.engine.ages import hours_between
from tests.notation import at


def test_prices_keep_eighteen_decimals_and_no_more() -> None:
    """A price of eighteen decimals stays as it is; the nineteenth is rounded half to even."""
    exact = Decimal("0.123456789012345678")
    assert price_half_even(exact) == exact
    assert price_half_even(Decimal("0.1234567890123456785")) == exact
    assert price_half_even(Decimal("0.1234567890123456775")) == exact


def test_money_rounds_half_to_even() -> None:
    """Half a micro-dollar goes to the even neighbour."""
    assert micro_half_even(Decimal("0.0000005")) == 0
    assert micro_half_even(Decimal("0.0000015")) == Decimal("0.000002")


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_a_float_enters_by_its_shortest_digits(value: float) -> None:
    """The digits that name a float are the decimal's digits, and lead back to the same float."""
    assert float(from_float(value)) == value


@given(st.decimals(0, 10**9, places=9), st.sampled_from(["0.00000001", "0.1", "1", "0.25"]))
def test_steps_round_in_their_direction(value: Decimal, step: str) -> None:
    """Down never exceeds, up never falls short, both lie on the grid and within one step."""
    size = Decimal(step)
    down, up = floor_to_step(value, size), ceil_to_step(value, size)
    assert down <= value <= up
    assert up - down in {0, size}
    assert down % size == up % size == 0


@pytest.mark.parametrize(("value", "text"), [("1.500", "1.5"), ("100", "100"), ("1E+3", "1000"), ("-0.0", "0")])
def test_plain_has_one_form(value: str, text: str) -> None:
    """No exponent, no trailing zeros, no minus zero."""
    assert plain(Decimal(value)) == text


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_ids_tell_lists_of_parts_apart(first: list[str], second: list[str]) -> None:
    """Two lists of naming facts share an id only if they are the same list."""
    assert (derive("x", first) == derive("x", second)) == (first == second)


def test_an_id_is_the_same_on_any_machine() -> None:
    """The digest is pinned: a change of the recipe would orphan every ledger."""
    named = order_id(RunName("levels_long"), SignalId("sig-1"), "entry", 0)
    assert (
        named
        == "ord-" + hashlib.sha256(canonical(["ord", "levels_long", "sig-1", "entry", 0]).encode()).hexdigest()[:32]
    )


def test_the_transition_table_is_the_only_way() -> None:
    """Every pair that the table does not hold is refused, and final states lead nowhere."""
    for state in (None, *OrderState):
        for following in OrderState:
            if following in TRANSITIONS[state]:
                check_transition(OrderId("ord-1"), state, following)
            else:
                with pytest.raises(InvariantError, match="is no transition"):
                    check_transition(OrderId("ord-1"), state, following)


def test_hours_are_exact() -> None:
    """Ninety minutes are 1.5 hours, and an instant before is negative."""
    start = at("2024-01-01")
    assert hours_between(start, start + timedelta(minutes=90)) == Decimal("1.5")
    assert hours_between(start + timedelta(hours=1), start) == -1


def test_amending_a_value_is_replacing_its_fields() -> None:
    """A copy with one field changed equals what dataclasses.replace makes; a field that is none of its is an error."""
    before = OrderEvent(order_id=OrderId("ord-1"), run=RunName("one"), slot=at("2024-01-01"), state=OrderState.ACCEPTED)
    assert amend(before, reason="why") == replace(before, reason="why")
    assert before.reason is None
    with pytest.raises(TypeError, match="OrderEvent has not all of the fields raeson"):
        amend(before, raeson="why")


@pytest.mark.parametrize(("minutes", "name"), [(0, "quote"), (1, "1m"), (5, "5m"), (60, "1h"), (1440, "1d")])
def test_a_bar_names_its_timeframe(minutes: int, name: str) -> None:
    """A bar's span names its timeframe, and one price at an instant is a quote."""
    opened = at("2024-01-01")
    bar = one_price(opened, Price(Decimal(1)))._replace(closed_at=opened + timedelta(minutes=minutes))
    assert timeframe_of(bar) == name
