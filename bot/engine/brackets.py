"""Stops and targets, placed before a position exists; a short mirrors a long.

A price outside the allowed window is returned as found, so that its gate can show the number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from bot.domain.instruments import Instrument
from bot.domain.market import LevelSet
from bot.domain.numbers import ONE, ZERO, Price, ceil_to_step, floor_to_step, price_half_even
from bot.domain.orders import Side
from bot.engine.rules import FillRules


class TargetShare(NamedTuple):
    """One of several targets, with its share of the initial quantity.

    share: None means the rest.
    """

    price: Price
    share: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The stop and target prices of an entry, with the rule and the level behind each.

    A price is None when no rule found one. With several targets, target is the nearest, and parts
    holds all of them, nearest first.
    """

    side: Side = Side.LONG
    stop: Price | None = None
    target: Price | None = None
    stop_source: str | None = None
    target_source: str | None = None
    stop_level: Price | None = None
    target_level: Price | None = None
    reward_risk: Decimal | None = None
    parts: tuple[TargetShare, ...] = ()

    @property
    def targets(self) -> tuple[TargetShare, ...]:
        """The targets, nearest first; none when no rule found one."""
        return self.parts or (() if self.target is None else (TargetShare(self.target),))


def reward_risk(
    reference: Price, stop: Price, targets: Sequence[TargetShare], fills: FillRules, side: Side
) -> Decimal:
    """Compute reward over risk after costs; several targets are weighted by their shares.

    For a long it is (target x (1 - fee) - paid) / (paid - stop proceeds); a short mirrors it.
    """
    paid = fills.entry_amount(reference, side)
    rest = ONE - sum((part.share for part in targets if part.share is not None), ZERO)
    brought = sum((one.price * (rest if one.share is None else one.share) for one in targets), ZERO)
    return (fills.with_exit_fee(brought, side) - paid) / (paid - fills.exit_amount(stop, side))


def levels_behind(levels: LevelSet | None, reference: Price, side: Side) -> Iterator[Price]:
    """Yield the levels on the stop's side of the reference price, nearest first.

    For a long these are the supports.
    """
    if levels is None:
        return
    if side is Side.LONG:
        yield from (level.price for level in reversed(levels.levels) if level.price < reference)
    else:
        yield from (level.price for level in levels.levels if level.price > reference)


def levels_ahead(levels: LevelSet | None, reference: Price, side: Side) -> Iterator[Price]:
    """Yield the levels on the target's side of the reference price, nearest first.

    For a long these are the resistances.
    """
    return levels_behind(levels, reference, Side.SHORT if side is Side.LONG else Side.LONG)


class Found(NamedTuple):
    """A stop or target price, with its rule and the level that it depends on, if there is one."""

    price: Price
    source: str
    level: Price | None = None


class Place(NamedTuple):
    """The reference price, side and instrument that a bracket is placed for.

    Prices are rounded to the instrument's tick: up for a long, down for a short.
    """

    reference: Price
    side: Side
    instrument: Instrument

    def away(self, price: Decimal) -> Decimal:
        """Compute how far a price lies on the stop's side; negative on the target's side."""
        return self.side.sign * (self.reference - price)

    def at(self, distance: Decimal) -> Decimal:
        """Compute the price at a distance on the stop's side."""
        return self.reference - self.side.sign * distance

    def apply_buffer(self, level: Price, fraction: Decimal) -> Price:
        """Move a level by its buffer, down for a long and up for a short."""
        return self.on_tick(level * (ONE - self.side.sign * fraction))

    def on_tick(self, price: Decimal) -> Price:
        """Round a price to the tick."""
        tick = self.instrument.price_tick
        if tick is None or self.side is Side.LONG:
            return price_half_even(ceil_to_step(price, tick))
        return Price(floor_to_step(price, tick))


def in_order(place: Place, parts: Sequence[TargetShare]) -> tuple[TargetShare, ...]:
    """Sort targets nearest first and give the last one the rest.

    A target without a share takes what the others leave.
    """
    rest = ONE - sum((part.share for part in parts if part.share is not None), ZERO)
    shared = [part._replace(share=rest) if part.share is None else part for part in parts]
    nearest_first = sorted(shared, key=lambda part: -place.away(part.price))
    return (*nearest_first[:-1], *(part._replace(share=None) for part in nearest_first[-1:]))
