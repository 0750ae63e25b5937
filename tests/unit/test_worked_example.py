"""The worked example of docs/strategy.md: the engine computes every number of its tables again."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from types import MappingProxyType

import pytest

from bot.app.settings.strategies import load_strategy
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import MarketSize, Quote
from bot.domain.numbers import EXACT, Price, ceil_to_step, floor_to_step
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.brackets import TargetShare, reward_risk
from bot.engine.indicators import annual_sigma, sigma
from bot.engine.placement import place_bracket
from bot.engine.rules import Rules, SizeRule
from bot.engine.sizing import Means, Size, risk_per_unit, size_entry, volatility
from tests.notation import DAY, bars, grades, latest_episode, levels, metrics, signal
from tests.proposals import findings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "docs" / "strategy.md").read_text().partition("\n## Worked example\n")[2]
INPUTS, STEPS, GATES = (
    [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    for block in EXAMPLE.split("\n\n")
    if block.startswith("|")
)
GIVEN = {name: tuple(map(Decimal, value.split())) for name, value in INPUTS}
PLENTY = Decimal(10) ** 9
DAYS_BEFORE, SLOT = "2024-05-20", "2024-06-01"  # twelve closes, the last of them at the slot

ARITHMETIC: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = MappingProxyType(
    {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
)
FUNCTIONS: Mapping[str, Callable[..., Decimal]] = MappingProxyType(
    {"up": ceil_to_step, "down": floor_to_step, "min": min, "max": max, "sqrt": lambda value: value.sqrt()}
)


def worked_out(node: ast.expr) -> Decimal:
    """Work out a formula as it is written."""
    match node:
        case ast.Constant():
            return Decimal(str(node.value))
        case ast.BinOp():
            return ARITHMETIC[type(node.op)](worked_out(node.left), worked_out(node.right))
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name](*map(worked_out, node.args))
    raise AssertionError(ast.dump(node))


def is_shown(value: Decimal | None, text: str) -> bool:
    """Tell whether a text shows a value, to as many digits as it has."""
    return value is not None and value.quantize(Decimal(text)) == Decimal(text)


def given(name: str) -> Decimal:
    """Return an input that is one number."""
    (value,) = GIVEN[name]
    return value


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """Read the strategy of the example."""
    found = re.search(r"```toml\n(.*?)```", EXAMPLE, re.DOTALL)
    assert found is not None
    path = tmp_path_factory.mktemp("worked") / "worked_example.toml"
    path.write_text(found[1])
    return load_strategy(path, path.parent).rules


@pytest.fixture(scope="module")
def view() -> TokenView:
    """Make the token of the example, as it is known at the slot."""
    token = TokenId(1)
    return TokenView(
        instrument=Instrument(
            token_id=token,
            symbol=Symbol("SOL"),
            name="Solana",
            quantity_step=given("quantity step"),
            price_tick=given("price tick"),
            category="layer-1",
        ),
        episode=latest_episode([signal(SLOT, "bullish")]),
        price=Quote(token_id=token, price=Price(given("reference price")), known_at=signal(SLOT, "bullish").known_at),
        levels=levels(SLOT, *map(str, GIVEN["levels"])),
        quantmetrics=metrics(
            SLOT,
            str(given("volatility of Quantmetrics")),
            sharpe=str(given("Sharpe ratio")),
            max_drawdown=str(given("drawdown of the token")),
        ),
        grades=grades(SLOT, str(given("trader grade"))),
        market=MarketSize(
            token_id=token,
            known_at=signal(SLOT, "bullish").known_at,
            market_cap=None,
            volume_24h=given("volume of 24 hours"),
        ),
        days=bars(DAYS_BEFORE, " | ".join(map(str, GIVEN["closes of the last days"])), DAY),
        prints=(),
    )


@pytest.fixture(scope="module")
def account() -> Means:
    """Make the account of the example."""
    return Means(
        equity=given("equity"),
        free_cash=given("free cash"),
        category_notional=given("held in its category"),
        drawdown=given("drawdown of the book"),
    )


def sized(view: TokenView, rules: Rules, account: Means) -> Size:
    """Size the entry of the example."""
    reference = Price(given("reference price"))
    found = size_entry(view, reference, place_bracket(view, reference, Side.LONG, rules), account, rules)
    assert found is not None
    return found


def bounds(view: TokenView, rules: Rules, account: Means) -> dict[str, Decimal]:
    """Return what each bound alone would allow, as a notional."""
    fine = replace(view, instrument=replace(view.instrument, quantity_step=Decimal("1e-15")))
    caps = ("risk_fraction", "weight_max", "category_max", "volume_share_max")
    bare = replace(rules.sizing, drawdown_haircut=None, **dict.fromkeys(caps))
    endless = replace(bare, rule=SizeRule.FIXED_NOTIONAL, notional=PLENTY)
    alone = [replace(endless, **{cap: getattr(rules.sizing, cap)}) for cap in caps]
    found = [
        sized(fine, replace(rules, sizing=sizing), account._replace(free_cash=PLENTY)) for sizing in (bare, *alone)
    ]
    found.append(sized(fine, replace(rules, sizing=endless), account))
    return {size.bound: size.quantity * given("reference price") for size in found}


def of_the_bracket(view: TokenView, rules: Rules) -> dict[str, Decimal | None]:
    """Return what the engine finds for each step up to the target."""
    reference, fills = Price(given("reference price")), rules.fills
    near = replace(rules, stop=replace(rules.stop, distance_min=None))
    passed_over = place_bracket(view, reference, Side.LONG, near).stop
    bracket = place_bracket(view, reference, Side.LONG, rules)
    first = Price(Decimal("136.00"))
    assert passed_over is not None
    assert bracket.stop is not None
    assert (bracket.stop_level, bracket.target_level) == (124, 152)
    return {
        "c": fills.cost,
        "paid for a unit": fills.entry_amount(reference, Side.LONG),
        "stop at the nearest support": passed_over,
        "its distance, below 0.01: passed over": (reference - passed_over) / reference,
        "stop at the next support": bracket.stop,
        "its distance, inside the window": (reference - bracket.stop) / reference,
        "a unit stopped out brings": fills.exit_amount(bracket.stop, Side.LONG),
        "risk of a unit": risk_per_unit(reference, bracket, fills),
        "distance to the resistance ahead": (first - reference) / reference,
        "reward over risk at 136.00, below 1.5: the next": reward_risk(
            reference, bracket.stop, [TargetShare(first)], fills, Side.LONG
        ),
        "target at the second resistance": bracket.target,
        "reward over risk": bracket.reward_risk,
    }


def of_the_size(view: TokenView, rules: Rules, account: Means) -> dict[str, Decimal | None]:
    """Return what the engine finds for each step from sigma to the quantity."""
    reference = Price(given("reference price"))
    risk = risk_per_unit(reference, place_bracket(view, reference, Side.LONG, rules), rules.fills)
    assert risk is not None
    assert rules.sizing.drawdown_haircut is not None
    allowed = bounds(view, rules, account)
    size = sized(view, rules, account)
    assert size.bound == "inverse_volatility+drawdown_haircut"
    fine = replace(view, instrument=replace(view.instrument, quantity_step=Decimal("1e-15")))
    notional = sized(fine, rules, account).quantity * reference
    return {
        "daily sigma of the bars": sigma(view.days),
        "sigma of the bars": annual_sigma(view.days),
        "sigma, the larger": volatility(view, rules.sizing.volatility),
        **allowed,
        "smallest of them": min(allowed.values()),
        "haircut": notional / min(allowed.values()),
        "notional": notional,
        "quantity": size.quantity,
        "its notional": size.quantity * reference,
        "lost at the stop": size.quantity * risk,
    }


def test_the_engine_finds_every_step(view: TokenView, rules: Rules, account: Means) -> None:
    """From the price to the quantity, each number is the engine's own to the digits shown, and none is left out."""
    with localcontext(EXACT):
        found = of_the_bracket(view, rules) | of_the_size(view, rules, account)
    assert [name for name, _, _ in STEPS] == list(found)
    assert [name for name, _, text in STEPS if not is_shown(found[name], text)] == []


@pytest.mark.parametrize(("name", "how", "text"), [step for step in STEPS if step[1]], ids=lambda cell: cell[:30])
def test_every_formula_gives_its_number(name: str, how: str, text: str) -> None:
    """Worked out as it is written, with the rounded numbers before it, a formula gives the number beside it."""
    tree = ast.parse(how.strip("`").replace(" x ", " * "), mode="eval")
    with localcontext(EXACT):
        assert is_shown(worked_out(tree.body), text), name


def test_the_gates_find_what_the_example_says(view: TokenView, rules: Rules, account: Means) -> None:
    """Each gate of the table has that value, comparator and threshold, and all that are asked pass."""
    found = findings(rules, view, account=account)
    assert all(finding.passed for finding in found.values())
    for name, value, comparator, threshold in GATES:
        finding = found[name]
        assert is_shown(finding.value, value), name
        assert (finding.comparator, finding.threshold) == (comparator, Decimal(threshold)), name
