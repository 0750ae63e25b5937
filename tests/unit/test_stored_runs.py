"""What parity reads back from a ledger: the effective configuration as rules, and answers as data."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.tokenmetrics.reread import read_again
from bot.app.settings.config import effective, load_config
from bot.app.settings.stored_rules import read_stored_run
from bot.app.settings.strategies import Strategy, load_strategy
from bot.domain.errors import ConfigError
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.tape import ApiCall
from tests.strategy_texts import HEAD

STRATEGIES = sorted((Path(__file__).resolve().parents[2] / "strategies").glob("*.toml"))
RUN = '[[run]]\nname = "one"\nstrategy = "any"\ncash = 250.5\nschedule = "5 * * * *"\n'
EVERYTHING = """
[entry]
rank = "composite"
[entry.weights]
grade = 2
sortino = 0.5
[gates.freshness_hours]
prices = 2
[sizing]
rule = "fixed_notional"
notional = 100
[stop]
rule = "fraction"
fraction = 0.050
[target]
rule = "r_multiple"
[[target.part]]
share = 0.5
multiple = 1
[[target.part]]
multiple = 2.5
[limits.drawdown]
at = 0.1
action = "flatten"
hours = 48
"""
SOL = Instrument(token_id=TokenId(3988), symbol=Symbol("SOL"), name="Solana", category="layer-1")
ETC = Instrument(token_id=TokenId(7), symbol=Symbol("ETC"), name="Classic", price_tick=Decimal("0.01"))
AT = datetime(2025, 3, 1, tzinfo=UTC)
CALL = ApiCall(
    request_id="call-1",
    at=AT,
    known_at=AT,
    slot=AT,
    endpoint="price",
    query="token_id=7,9",
    status=200,
    attempts=1,
    seconds=0.1,
    size=1,
    rows=2,
    credits=1,
    answer_hash="x",
)
PRICES = b'{"success":true,"data":[{"TOKEN_ID":7,"CURRENT_PRICE":1.50},{"TOKEN_ID":8,"CURRENT_PRICE":2}]}'


def stored(folder: Path, strategy: Strategy, *universe: Instrument) -> str:
    """Write the effective configuration of one run with this strategy."""
    (folder / "config.toml").write_text(RUN)
    universes = {"one": {one.token_id: one for one in universe}} if universe else {}
    return effective(load_config(folder / "config.toml", {}), {"one": strategy}, universes)


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_the_rules_of_every_shipped_strategy_are_read_back(tmp_path: Path, path: Path) -> None:
    """What is stored with a cycle is enough to have its rules again."""
    strategy = load_strategy(path, path.parent)
    run = read_stored_run(stored(tmp_path, strategy), "one")
    assert run.rules == replace(strategy.rules, hooks=None)
    assert (run.cash, run.schedule, run.strategy) == (Decimal("250.5"), "5 * * * *", strategy.name)


def test_hooks_parts_weights_and_breakers_are_read_back(tmp_path: Path) -> None:
    """Nested tables come back as the values they were; of hooks the digest."""
    (tmp_path / "any.toml").write_text(HEAD + EVERYTHING)
    (tmp_path / "any.py").write_text('def veto(view, bracket):\n    """Refuse nothing."""\n    return None\n')
    strategy = load_strategy("any", tmp_path)
    run = read_stored_run(stored(tmp_path, strategy), "one")
    assert run.rules == replace(strategy.rules, hooks=None)
    assert run.rules.limits.drawdown is not None
    assert strategy.rules.hooks is not None
    assert run.hooks == strategy.rules.hooks.digest


def test_the_universe_is_what_it_was_resolved_to(tmp_path: Path) -> None:
    """Instruments come from the configuration; where an older one does not name them, from the run's by name or id."""
    strategy = replace(load_strategy(STRATEGIES[0], STRATEGIES[0].parent), universe=("sol", 7))
    run = read_stored_run(stored(tmp_path, strategy, SOL, ETC), "one")
    assert run.instruments == (ETC, SOL)
    assert run.tokens(()) == (7, 3988)
    older = read_stored_run(stored(tmp_path, strategy), "one")
    assert older.instruments is None
    assert older.tokens((SOL, ETC, replace(SOL, token_id=TokenId(9), symbol=Symbol("BTC")))) == (7, 3988)


def test_what_a_stored_configuration_cannot_say_is_refused(tmp_path: Path) -> None:
    """A run that it does not name, and a rule of a later version."""
    text = stored(tmp_path, load_strategy(STRATEGIES[0], STRATEGIES[0].parent))
    with pytest.raises(ConfigError, match="run two: the configuration stored with its cycles does not name it"):
        read_stored_run(text, "two")
    later = json.loads(text)
    later["runs"][0]["rules"]["stop"]["teleports"] = True
    with pytest.raises(ConfigError, match="has teleports, unknown to this version"):
        read_stored_run(json.dumps(later), "one")


def test_an_answer_is_read_again_with_what_its_call_tells() -> None:
    """The tokens asked for and the instant; a stranger's row is left out."""
    (datum,) = read_again(CALL, PRICES)
    assert (datum.token_id, datum.known_at) == (7, AT)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (replace(CALL, status=503), PRICES),
        (replace(CALL, status=None), PRICES),
        (replace(CALL, status=404), b'{"success":false,"message":"Data not found"}'),
        (CALL, b"<html>"),
        (replace(CALL, endpoint="tokens", query="symbol=BTC&limit=100&page=1"), PRICES),
    ],
)
def test_a_failure_says_nothing_again(call: ApiCall, body: bytes) -> None:
    """An error, no JSON, or a list of names: no data, as when it came."""
    assert read_again(call, body) == ()
