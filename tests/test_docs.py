"""README, the example configuration, the strategies and the code say the same."""

import argparse
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.adapters.sql.views import VIEWS
from bot.app.demo import play
from bot.app.strategies import load_strategy
from bot.app.strategy_keys import KEYS
from bot.cli import main, parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
TRADE = (
    "run position_id signal_id symbol token_id side is_open opened_at closed_at quantity entry_price exit_price"
    " notional fees profit profit_fraction r_multiple stop_initial stop_last target stop_source target_source"
    " exit_reason profit_pessimistic profit_optimistic mae mfe"
)
# The columns that product and README promise; more may come, none may go.
CONTRACT = {
    "v_trades": TRADE,
    "v_open_positions": f"{TRADE} mark_price unrealised_profit age_hours",
    "v_orders": "run order_id position_id symbol side role state reason quantity price",
    "v_fills": "run order_id position_id symbol side role quantity price fee fill_model",
    "v_decisions": "run slot symbol token_id signal_id outcome first_reason reference_price stop target reward_risk"
    " quantity size_bound",
    "v_gates": "run slot symbol gate value comparator threshold passed reason",
    "v_gate_funnel": "run gate candidates passed failed only_failure",
    "v_equity": "run slot cash positions_value equity high_water_mark drawdown exposure open_positions",
    "v_cycles": "run slot cut_off state started_at finished_at seconds entries exits rejections config_hash"
    " code_version",
    "v_api_calls": "at endpoint status attempts seconds bytes rows credits request_id answer_hash",
    "v_signals": "token_id symbol published_at known_at",
    "v_levels": "token_id symbol published_at known_at",
    "v_quantmetrics": "token_id symbol published_at known_at",
    "v_grades": "token_id symbol published_at known_at",
    "v_postings": "entry_id run account amount at",
    "v_ledger_check": "",
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play two simulated days into a ledger."""
    path = tmp_path_factory.mktemp("docs") / "docs.db"
    play(path, 2)
    return path


def commands() -> list[str]:
    """Return the names of all commands."""
    actions = parser()._actions
    return next(list(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """No command without a line of help, and none that the README does not mention."""
    for name in commands():
        assert main([name, "--help"]) == 0
        assert re.search(rf"\b{name}\b", README), name


def test_every_command_in_the_readme_exists() -> None:
    """Whatever the README writes after `bot` is a command."""
    mentioned = set(re.findall(r"(?:`|bin/)bot ([a-z]+)", README))
    assert mentioned <= set(commands()), mentioned


@pytest.mark.parametrize("statement", re.findall(r"^(?:select|with)\b.*?;", README, flags=re.MULTILINE | re.DOTALL))
def test_every_question_of_the_readme_has_an_answer(ledger: Path, statement: str) -> None:
    """The SQL of the README runs on a ledger."""
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute(statement).description is not None


def test_the_readme_asks_at_least_three_questions() -> None:
    """Three SQL questions are promised."""
    assert len(re.findall(r"^select\b", README, flags=re.MULTILINE)) >= 3


@pytest.mark.parametrize("view", sorted(CONTRACT))
def test_every_view_has_its_promised_columns(ledger: Path, view: str) -> None:
    """The public views and their columns stay."""
    with closing(sqlite3.connect(ledger)) as connection:
        found = {column[0] for column in connection.execute(f"select * from {view}").description}
    assert set(CONTRACT[view].split()) <= found, set(CONTRACT[view].split()) - found


def test_there_is_no_view_that_nobody_promised_or_tests() -> None:
    """Each view of the code is in the contract, but for the scorecard whose figures come later."""
    assert set(VIEWS) == {*CONTRACT, "v_signal_scorecard"}


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_strategy_loads_under_its_own_name(path: Path) -> None:
    """A strategy file that ships is valid, and is named as its file."""
    assert load_strategy(path, path.parent).name == path.stem


def test_every_strategy_key_says_what_it_means() -> None:
    """No key without a sentence: the reference is made of them."""
    assert all(len(key.meaning) > 10 for key in KEYS)
