"""What sweeps tried, on both databases: each trial once, nothing overwritten, shown as it was."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest

from bot.adapters.sql.beside import open_store
from bot.adapters.sql.engine import begin, open_engine
from bot.adapters.sql.ledger import writing
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.verify import violations
from bot.domain.errors import ConfigError, InvariantError, StorageError
from bot.domain.sweeps import Trial
from tests.contract.ledger_samples import opened, story
from tests.contract.questions import ask
from tests.contract.trial_samples import FIGURES, TRIAL


def test_a_trial_comes_back_as_it_was(made_url: str) -> None:
    """Every field, to the last bit of its floats; another sweep's trials are not among them."""
    other = replace(TRIAL, trial_id="trial-2", sweep="second", is_test=True, schedule="0 * * * *")
    with open_store(made_url, create=True) as kept:
        assert kept.trials("first") == {}
        kept.append([TRIAL, other])
        assert kept.trials("first") == {"trial-1": TRIAL}
        assert kept.trials("second") == {"trial-2": other}
    assert len(FIGURES) == 16


def test_the_view_shows_amounts_as_numbers_and_nothing_for_the_undefined(made_url: str) -> None:
    """Cash and final equity in quote currency, figures as they are, NULL with its reason beside."""
    with open_store(made_url, create=True) as kept:
        kept.append([TRIAL])
    (row,) = Reader(made_url).rows("SELECT * FROM v_sweep", {})
    assert set(row) == {field.name for field in fields(Trial)}
    assert (float(str(row["cash"])), float(str(row["final_equity"]))) == (10000, 10123.456789)
    assert (row["sharpe"], row["calmar"], row["is_test"]) == (TRIAL.sharpe, None, False)
    assert row["reasons"] == TRIAL.reasons


def test_the_same_trial_again_changes_nothing(made_url: str) -> None:
    """Doubled in one call, put again later, from another connection: one row."""
    with open_store(made_url, create=True) as kept:
        kept.append([TRIAL])
        kept.append([TRIAL])
        with open_store(made_url, create=True) as again:
            again.append([TRIAL])
        assert kept.trials("first") == {"trial-1": TRIAL}


@pytest.mark.parametrize(
    "changed", [{"sharpe": 9.0}, {"calmar": 0.5}, {"final_equity": Decimal(1)}, {"reasons": "{}"}, {"trades": 4}]
)
def test_the_same_trial_with_another_outcome_is_an_error(made_url: str, changed: dict[str, Any]) -> None:
    """The field is named, 70, and the row stays what it was."""
    with open_store(made_url, create=True) as kept:
        kept.append([TRIAL])
        with pytest.raises(InvariantError, match=f"trials trial-1 is in the ledger with another {next(iter(changed))}"):
            kept.append([replace(TRIAL, **changed)])
        assert kept.trials("first") == {"trial-1": TRIAL}


def test_trials_are_kept_beside_a_writer_and_its_books(made_url: str) -> None:
    """A daemon holds the lease: trials need none, the books verify, and no row of theirs can be changed."""
    with writing(made_url, create=True) as book:
        opened(book).commit_all(story()[:1])
        with open_store(made_url, create=True) as kept:
            kept.append([TRIAL])
        opened(book).commit_all(story())
        assert ask(book, "SELECT count(*) AS trials FROM v_sweep") == [{"trials": 1}]
    assert violations(made_url) == []
    engine = open_engine(made_url)
    for change in ("UPDATE trials SET seed = 2", "DELETE FROM trials"):
        with pytest.raises((StorageError, InvariantError), match="append-only"), begin(engine) as connection:
            connection.exec_driver_sql(change)
    engine.dispose()


def test_an_older_ledger_names_the_upgrade(made_url: str) -> None:
    """A ledger without the table is not touched: 78 and the mend."""
    with open_store(made_url, create=True):
        pass
    engine = open_engine(made_url)
    with begin(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    engine.dispose()
    with pytest.raises(ConfigError, match="run `bot db upgrade`"), open_store(made_url, create=True):
        pass
