"""Strategy files, read once into typed rules.

A key that the engine would not obey is refused, never ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.app.settings.hooks import load_hooks
from bot.app.settings.kinds import near
from bot.app.settings.shipped import shipped_strategies
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.strategy_kinds import BOTH, Universe
from bot.app.settings.tables import load_toml, members, read_tables, refuse
from bot.domain.numbers import ONE, ZERO, plain
from bot.domain.orders import Side
from bot.engine import rules as engine

# Distances of a stop from a price or level, as fractions of it: those of a long must be below 1.
BELOW_THE_PRICE = (
    "stop.fraction", "stop.fallback.fraction", "stop.buffer_fraction", "stop.distance_min",
    "exits.trailing_fraction",
)  # fmt: skip
TRAILS = ("trailing_fraction", "trailing_atr", "ratchet_to_support")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy as it was read from its file (`where`); universe: symbols or token_ids, or "*".

    bars: None means the finest. provider: None means that of its configuration.
    text: its file's, and the digest of its hooks, so that everything that decides is in it.
    """

    name: str
    universe: Universe
    bars: str | None
    rules: engine.Rules
    text: str
    provider: str | None = None
    where: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of its file may not expect, as lines: it has another name inside."""
        named = f'{self.where} has strategy.name = "{self.name}"'
        remark = f"look: {named}: runs are named so, not after the file"
        return () if Path(self.where).stem == self.name else (remark,)


def load_strategy(name_or_path: str | Path, folder: Path) -> Strategy:
    """Read a strategy and the hooks beside it, by its name in the folder or by its file's path."""
    path = strategy_file(name_or_path, folder)
    document, text = load_toml(path, suggest_names(path))
    return strategy_from(path, document, text, load_hooks(path.with_suffix(".py")))


def strategy_from(
    path: Path, document: Mapping[str, object], text: str, hooks: engine.Hooks | None
) -> Strategy:
    """Convert a strategy's document to typed rules; ConfigError names `path` when it is refused."""
    values = read_tables(str(path), document, KEYS)
    for key, reason in _contradictions(values):
        raise refuse(str(path), key, reason)
    named = members(values, "strategy")
    return Strategy(
        name=named["name"],
        where=str(path),
        universe=named["universe"],
        bars=named["bars"],
        provider=named["provider"],
        rules=_rules(values, hooks),
        text=text if hooks is None else f"{text}\n# hooks {hooks.digest}\n",
    )


def strategy_file(name_or_path: str | Path, folder: Path) -> Path:
    """Find the path of a strategy's file, given by its name in the folder or as a path."""
    path = Path(name_or_path)
    is_path = path.suffix == ".toml" or path.parent != Path()
    return path if is_path else folder / f"{name_or_path}.toml"


def find_strategy(name_or_path: str | Path, folder: Path) -> Path:
    """Find a strategy's file in the folder, else among the shipped, which no daemon does."""
    path = strategy_file(name_or_path, folder)
    is_name = path.parent == folder and Path(name_or_path).suffix != ".toml"
    return shipped_strategies().get(path.stem, path) if is_name and not path.exists() else path


def suggest_names(path: Path) -> str:
    """Suggest the strategy that was probably meant by a missing file, or list those that exist."""
    shipped = shipped_strategies()
    if path.stem in shipped:
        return f"`bot init FOLDER --strategy {path.stem}` writes it"
    names = sorted({*shipped, *(known.stem for known in path.parent.glob("*.toml"))})
    hint = near(path.stem, names).removeprefix("; ")
    return hint or f"strategies there and shipped: {', '.join(names[:8])}"


def _contradictions(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield keys that are valid alone but contradict others, with the reason and the remedy."""
    yield from _of_longs(given)
    low, high = given.get("stop.distance_min"), given.get("stop.distance_max")
    if low is not None and high is not None and low > high:
        yield "stop.distance_min", f"{low} is above stop.distance_max = {high}: swap them"
    parts = _parts(given)
    yield from _of_parts(parts)
    if given["stop.rule"] is engine.PriceRule.NONE:
        yield from _check_stopless(given, parts)
    yield from _of_trails(given)
    yield from _of_shorts(given)
    weights = given.get("entry.weights")
    if weights and not any(weights.values()):
        yield "entry.weights", f"empty: give a weight to at least one of {', '.join(weights)}"
    if given["fills.same_bar"] is engine.SameBar.FINER_BARS and given["strategy.bars"] == "1m":
        finest = '"1m" is the finest there is, and fills.same_bar is "finer_bars"'
        yield "strategy.bars", f"{finest}: choose coarser bars"
    if given["fills.half_spread_fraction"] + given["fills.slippage_fraction"] >= ONE:
        reason = "with the half spread it leaves nothing of a sale: keep their sum below 1"
        yield "fills.slippage_fraction", reason


def _check_stopless(given: Mapping[str, Any], parts: Sequence[engine.TargetPart]) -> Iterator[tuple[str, str]]:
    """Yield the keys that need a stop, for a strategy without one."""
    mend = 'choose stop.rule, it is "none"'
    if given["sizing.risk_fraction"] is not None:
        yield "sizing.risk_fraction", f"needs a stop to measure risk: {mend}"
    if engine.PriceRule.R_MULTIPLE in (given["target.rule"], given.get("target.fallback.rule")):
        yield "target.rule", f'"r_multiple" needs a stop to measure R: {mend}'
    if any(part.multiple is not None for part in parts):
        yield "target.part", f"a multiple needs a stop to measure R: {mend}"
    if engine.ExitRule.BREAK_EVEN in given["exits.rules"]:
        yield "exits.rules", f'"break_even" needs a stop to measure R: {mend}'


def _of_parts(parts: Sequence[engine.TargetPart]) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(parts, start=1):
        if (part.rank is None) == (part.multiple is None):
            reason = "must name its level's rank or a multiple of R: write one of the two"
            yield "target.part", f"number {number} {reason}"
        if part.share is None and number < len(parts):
            reason = "has no share: only the last may leave it out, it takes the rest"
            yield "target.part", f"number {number} {reason}"
    shares = [part.share for part in parts if part.share is not None]
    total = sum(shares, ZERO)
    if total > ONE:
        yield "target.part", f"the shares sum to {total}: keep their sum at 1 or below"
    if total == ONE and len(shares) < len(parts):
        yield "target.part", "the shares before the last sum to 1 and leave it nothing: lower one"


def _of_trails(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    trails = engine.ExitRule.TRAILING_STOP in given["exits.rules"]
    if trails and not any(given[f"exits.{name}"] for name in TRAILS):
        mend = f"write at least one of {', '.join(TRAILS)}"
        yield "exits.rules", f'"trailing_stop" needs a distance: {mend}'
    rule = given["stop.rule"]
    if given.get("exits.ratchet_to_support") and rule is not engine.PriceRule.LEVEL:
        reason = f'takes buffer and window of a stop at a level, and stop.rule is "{rule}": drop it'
        yield "exits.ratchet_to_support", reason


def _of_longs(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield keys that put a long's stop at or below zero; only short sellers may use them."""
    if given["strategy.side"] == Side.SHORT:
        return
    for path in BELOW_THE_PRICE:
        if (fraction := given.get(path)) is not None and fraction >= ONE:
            yield path, _for_shorts_only(fraction, "below 1")
    if (widest := given.get("stop.distance_max")) is not None and widest > ONE:
        yield "stop.distance_max", _for_shorts_only(widest, "at most 1")


def _for_shorts_only(fraction: Decimal, bound: str) -> str:
    return (
        f"{plain(fraction)} is not {bound}: write a fraction,"
        f" {plain(fraction.scaleb(-2))} for {plain(fraction)} %"
        ' (only strategy.side = "short" takes more)'
    )


def _of_shorts(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if given["strategy.side"] == Side.LONG:
        return
    for path in ("target.fraction", "target.fallback.fraction"):
        if (fraction := given.get(path)) is not None and fraction >= ONE:
            yield path, f"{fraction} puts a short's target at zero or below: keep it below 1"


def _rules(values: Mapping[str, Any], hooks: engine.Hooks | None) -> engine.Rules:
    """Convert the checked values to the engine's rules, whose fields have the names of the keys."""
    freshness = members(values, "gates.freshness_hours")
    side = values["strategy.side"]
    entry, target = members(values, "entry"), members(values, "target")
    weighed = {name: one for name, one in entry.pop("weights", {}).items() if one is not None}
    target.pop("part", None)
    return engine.Rules(
        name=values["strategy.name"],
        sides=frozenset(Side if side == BOTH else {side}),
        feed=values["strategy.feed"],
        bearish_exits=values["strategy.bearish"] == "exit",
        entry=engine.EntryRules(
            **entry, weights={engine.Rank(name): weight for name, weight in weighed.items()}
        ),
        gates=engine.GateRules(
            **members(values, "gates"),
            freshness_hours={name: hours for name, hours in freshness.items() if hours is not None},
        ),
        levels=engine.LevelRules(**members(values, "levels")),
        stop=engine.StopRules(**members(values, "stop"), fallback=_fallback(values, "stop")),
        target=engine.TargetRules(**target, fallback=_fallback(values, "target"), parts=_parts(values)),
        sizing=engine.SizingRules(**members(values, "sizing")),
        exits=engine.ExitRules(**members(values, "exits")),
        limits=_limits(values),
        short=engine.ShortRules(**members(values, "short")),
        fills=engine.FillRules(**members(values, "fills")),
        hooks=hooks,
    )


def _fallback(values: Mapping[str, Any], table: str) -> engine.Fallback | None:
    given = members(values, f"{table}.fallback")
    return engine.Fallback(**given) if given.get("rule") else None


def _parts(values: Mapping[str, Any]) -> tuple[engine.TargetPart, ...]:
    return tuple(engine.TargetPart(**part) for part in values.get("target.part") or ())


def _limits(values: Mapping[str, Any]) -> engine.LimitRules:
    given = members(values, "limits")
    for name in engine.BreakerName:
        if (breaker := given[name]) is not None:
            # The `at` of a loss streak was read as an int.
            given[name] = engine.Breaker(**{**breaker, "at": Decimal(breaker["at"])})
    return engine.LimitRules(**given)
