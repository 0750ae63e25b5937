"""Whatever a sweep's file holds, it is read or refused in one line, and what it reads can be written and read again."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from bot.app.settings.strategy_keys import KEYS as STRATEGY_KEYS
from bot.app.settings.tables import every
from bot.app.sweep.axes import GRID_MAX, SWEPT, Axes, Axis, draws, grid, parameters_text, value_text
from bot.app.sweep.plan import KEYS, load_sweep
from bot.domain.errors import ConfigError
from tests.properties.test_config_fuzz import VALUES, written

NEEDED = {"sweep.name": "any", "sweep.strategy": "any", "parameters.stop.fraction": [Decimal("0.1")]}
# Numbers that the keys of strategies take.
NUMBERS = st.decimals(min_value=Decimal("0.001"), max_value=Decimal("0.999"), places=3)
RANGES = st.fixed_dictionaries(
    {"low": NUMBERS | VALUES, "high": NUMBERS | VALUES},
    optional={"step": NUMBERS | VALUES, "log": st.booleans() | VALUES, "other": VALUES},
)


@given(st.dictionaries(st.sampled_from([key.path for key in KEYS]), VALUES, max_size=4))
@example({"sweep.from": "9999-12-31T23:59:59-14:00"})
@example({"sweep.cash": "1e-7"})
@example({"sweep": 1})
def test_any_file_is_read_or_refused(document: dict[str, object]) -> None:
    """A sweep, or one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.toml"
        path.write_text(written({**NEEDED, **document}), encoding="utf-8")
        try:
            load_sweep(path)
        except ConfigError as refused:
            told = str(refused)
            assert told.startswith(f"{path}: ")
            assert len(told.splitlines()) == 1


@given(st.sampled_from(sorted(SWEPT)), st.one_of(RANGES, st.lists(NUMBERS | VALUES, max_size=3), VALUES))
@example("stop.fraction", {"low": Decimal("0.1"), "high": Decimal("0.2"), "step": Decimal("1e-18")})
@example("gates.sharpe_min", {"low": Decimal(0), "high": Decimal("1e-18")})
@example("limits.positions_max", {"low": 1, "high": 10**18})
@example("stop.fraction", {"low": Decimal("0.1"), "high": Decimal("0.2"), "step": Decimal("nan")})
def test_any_axis_is_read_or_refused(path: str, raw: object) -> None:
    """Values that the key takes, each of which can be written as JSON and read again as the same; or a ValueError."""
    try:
        (axis,) = Axes().read({path: raw})
    except ValueError as refused:
        told = str(refused)
        assert path in told
        return
    sets = draws([axis], 5, 1) + ([] if not axis.values or len(axis.values) > 50 else grid([axis]))
    for one in sets:
        text = parameters_text(one)
        again = json.loads(text, parse_float=Decimal)
        assert parameters_text(again) == text
        kind = next(key.kind for key in every(STRATEGY_KEYS) if key.path == path)
        assert value_text(_comparable(kind.read(again[path]))) == value_text(_comparable(one[path]))
    assert len(axis.values) <= GRID_MAX


def _comparable(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


@given(st.lists(NUMBERS, min_size=2, max_size=2, unique=True), st.booleans(), st.floats(0, 1))
def test_a_share_of_a_range_lies_in_it(ends: list[Decimal], is_log: bool, share: float) -> None:  # noqa: FBT001
    """From low to high, also where rounding would lead over an end."""
    low, high = sorted(ends)
    found = Axis(path="x", low=low, high=high, is_log=is_log).between(share)
    assert low <= Decimal(str(found)) <= high
