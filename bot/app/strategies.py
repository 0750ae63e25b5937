"""Strategy files become typed rules, once.

A key that the engine would not obey is refused, never ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bot.app.strategy_keys import KEYS, LATER, Universe
from bot.app.tables import Value, load_toml, members, near, read_tables, refuse
from bot.domain.errors import ConfigError
from bot.domain.numbers import ONE
from bot.engine.rules import (
    EntryRules,
    ExitRules,
    Fallback,
    FillRules,
    GateRules,
    LevelRules,
    LimitRules,
    PriceRule,
    Rules,
    SizingRules,
    StopRules,
    TargetRules,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy as it was read; universe: symbols or token_ids, or "*"; bars: a timeframe, None for the finest."""

    name: str
    universe: Universe
    bars: str | None
    rules: Rules
    text: str


def load_strategy(name_or_path: str | Path, folder: Path) -> Strategy:
    """Read a strategy by its name in the folder, or by the path of its file."""
    path = _find(name_or_path, folder)
    document, text = load_toml(path, _known(path))
    hooks = path.with_suffix(".py")
    if hooks.exists():
        message = f"{hooks}: hooks are known but not available in this version: move the file away"
        raise ConfigError(message)
    return _strategy(str(path), document, text)


def _find(name_or_path: str | Path, folder: Path) -> Path:
    path = Path(name_or_path)
    return path if path.suffix == ".toml" or path.parent != Path() else folder / f"{name_or_path}.toml"


def _known(path: Path) -> str:
    """Name the strategy that was probably meant, or those that there are."""
    names = sorted(known.stem for known in path.parent.glob("*.toml"))
    if not names:
        return "`bot init` writes a first strategy"
    return near(path.stem, names).removeprefix("; ") or f"strategies there: {', '.join(names[:8])}"


def _strategy(where: str, document: Mapping[str, object], text: str) -> Strategy:
    values = read_tables(where, document, KEYS, LATER)
    _agree(where, values)
    named = members(values, "strategy")
    return Strategy(
        name=str(named["name"]),
        universe=cast("Universe", named["universe"]),
        bars=cast("str | None", named["bars"]),
        rules=_rules(values),
        text=text,
    )


def _agree(where: str, values: Mapping[str, Value]) -> None:
    """Refuse keys that are right alone and wrong together."""
    given: dict[str, Any] = dict(values)
    low, high = given.get("stop.distance_min"), given.get("stop.distance_max")
    if low is not None and high is not None and low > high:
        raise refuse(where, "stop.distance_min", f"{low} is above stop.distance_max = {high}: swap them")
    unstopped = given["stop.rule"] is PriceRule.NONE
    if unstopped and given["sizing.risk_fraction"] is not None:
        raise refuse(where, "sizing.risk_fraction", 'needs a stop to measure risk: choose stop.rule, it is "none"')
    if unstopped and PriceRule.R_MULTIPLE in (given["target.rule"], given.get("target.fallback.rule")):
        raise refuse(where, "target.rule", '"r_multiple" needs a stop to measure R: choose stop.rule, it is "none"')
    if given["fills.half_spread_fraction"] + given["fills.slippage_fraction"] >= ONE:
        raise refuse(
            where, "fills.slippage_fraction", "with the half spread it leaves nothing of a sale: keep their sum below 1"
        )


def _rules(values: Mapping[str, Value]) -> Rules:
    """Pour the checked values into the engine's rules, whose fields are named as the keys are."""
    parts: dict[str, Any] = {
        part: members(values, part)
        for part in ("strategy", "entry", "gates", "levels", "stop", "target", "sizing", "exits", "limits", "fills")
    }
    freshness: dict[str, Any] = members(values, "gates.freshness_hours")
    del parts["stop"]["anchor"]  # one anchor alone is accepted, so the rules need not carry it
    return Rules(
        name=parts["strategy"]["name"],
        side=parts["strategy"]["side"],
        feed=parts["strategy"]["feed"],
        bearish_exits=parts["strategy"]["bearish"] == "exit",
        entry=EntryRules(**parts["entry"]),
        gates=GateRules(
            **parts["gates"], freshness_hours={name: hours for name, hours in freshness.items() if hours is not None}
        ),
        levels=LevelRules(**parts["levels"]),
        stop=StopRules(**parts["stop"], fallback=_fallback(values, "stop.fallback")),
        target=TargetRules(**parts["target"], fallback=_fallback(values, "target.fallback")),
        sizing=SizingRules(**parts["sizing"]),
        exits=ExitRules(**parts["exits"]),
        limits=LimitRules(**parts["limits"]),
        fills=FillRules(**parts["fills"]),
    )


def _fallback(values: Mapping[str, Value], table: str) -> Fallback | None:
    given: dict[str, Any] = members(values, table)
    return Fallback(**given) if given.get("rule") else None
