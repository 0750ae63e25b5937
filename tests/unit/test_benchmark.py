"""Buying and holding, by hand."""

import numpy as np

from bot.engine.benchmark import buy_and_hold

NAN = np.nan


def test_equal_parts_are_bought_at_the_first_close_and_kept() -> None:
    """One token doubles, one halves: half of 2 and half of 1/2, and nothing is put back in balance on the way."""
    assert buy_and_hold(np.array([[10, 4], [20, 4], [20, 2]])).tolist() == [1, 1.5, 1.25]


def test_a_part_is_cash_until_its_token_has_a_close() -> None:
    """The second token comes with the second row and doubles in the third; the third never comes."""
    closes = np.array([[10, NAN, NAN], [10, 4, NAN], [10, 8, NAN]])
    assert buy_and_hold(closes).tolist() == [1, 1, 4 / 3]
