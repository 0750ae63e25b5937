"""Whatever a configuration or a strategy holds, it is read or refused in one line: never a traceback, never a guess."""

import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from bot.app.settings.config import KEYS as CONFIG_KEYS
from bot.app.settings.config import RUN_KEYS, load_config
from bot.app.settings.strategies import load_strategy
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import Key, every
from bot.domain.errors import AccessError, ConfigError

WORDS = sorted({word for key in every(KEYS) for word in key.kind.describe().replace('"', " ").split()})
SCALARS = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(WORDS),
    st.dates(),
    st.decimals(allow_nan=True),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
# What is always there, so that the keys behind it are reached.
STRATEGY = {"strategy.name": "any", "strategy.universe": "*", "sizing.rule": "fixed_notional", "sizing.notional": 1}
# With these every key of a strategy is one of a rule that is chosen, but for the parts of several targets.
CHOSEN = {
    "strategy.side": "both",
    "entry.rank": "composite",
    "entry.weights.grade": 1,
    "stop.rule": "level",
    "target.rule": "level",
    "exits.rules": ["stop_hit", "trailing_stop", "break_even", "time_stop"],
    "exits.break_even_r": 1,
    "exits.trailing_atr": 2,
    "exits.time_stop_hours": 1,
}
RUN = {"name": "any", "strategy": "any", "cash": 1, "schedule": "2 * * * *"}


def literal(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    text = str(value).lower().replace("infinity", "inf").replace("snan", "nan")
    return text.replace("e+", "e") if isinstance(value, float | Decimal) else text


def written(document: dict[str, object]) -> str:
    """Write a document with dotted keys."""
    return "".join(f"{path} = {literal(value)}\n" for path, value in document.items())


def read_or_refused(text: bytes) -> str:
    """Read a text as a strategy and as a configuration; return the refusals' lines."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.toml"
        path.write_bytes(text)
        try:
            load_strategy("any", path.parent)
        except (ConfigError, AccessError) as error:
            lines.append(str(error))
        try:
            load_config(path, {})
        except (ConfigError, AccessError) as error:
            lines.append(str(error))
    assert all(len(line.splitlines()) == 1 for line in lines), lines
    return "\n".join(lines)


def keys_of(*tables: Key) -> st.SearchStrategy[dict[str, object]]:
    """Draw values of any type for some of the keys."""
    return st.dictionaries(st.sampled_from(sorted({key.path for key in every(tables)})), VALUES, max_size=6)


@given(keys_of(*KEYS))
@example({"exits.rules": ["stop_hit", ["stop_hit"]]})
@example({"stop.fraction": Decimal("1e-30"), "stop.rule": "fraction"})
def test_any_value_of_a_strategy_is_read_or_refused(document: dict[str, object]) -> None:
    """Known keys with values of any type, size and sign never end in another error than the promised ones."""
    read_or_refused(written({**STRATEGY, **document}).encode())
    read_or_refused(written({**STRATEGY, **CHOSEN, **document}).encode())


@given(st.lists(st.dictionaries(st.sampled_from(["share", "rank", "multiple"]), VALUES, max_size=3), max_size=4))
@example([{"share": Decimal("0.5"), "rank": 1}, {"multiple": 2}])
@example([{"share": [0]}])
def test_any_parts_of_a_target_are_read_or_refused(parts: list[dict[str, object]]) -> None:
    """The same of several targets."""
    tables = "".join(f"[[target.part]]\n{written(part)}" for part in parts)
    read_or_refused(f"{written({**STRATEGY, **CHOSEN})}{tables}".encode())


@given(keys_of(*CONFIG_KEYS), keys_of(*RUN_KEYS))
def test_any_value_of_a_configuration_is_read_or_refused(document: dict[str, object], run: dict[str, object]) -> None:
    """The same of config.toml and its runs."""
    table = {**RUN, **{path.removeprefix("run."): value for path, value in run.items()}}
    read_or_refused(f"{written(document)}[[run]]\n{written(table)}".encode())


@given(st.dictionaries(st.text(max_size=12), SCALARS, min_size=1, max_size=3))
def test_any_unknown_key_is_refused(document: dict[str, object]) -> None:
    """Keys of any letters are named in one printable line."""
    text = "".join(f"{literal(name)} = {literal(value)}\n" for name, value in document.items())
    assert read_or_refused(text.encode())


@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf[strategy]")
@example(b"a = 1979-13-41")
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """A file of any bytes is refused in one line."""
    assert read_or_refused(content)
