"""The engine's own cycles through the ledger: a restart lands where the run was, and the books verify."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings

from bot.adapters.sql.ledger import writing
from bot.adapters.sql.verify import violations
from bot.domain.portfolio import Portfolio
from bot.domain.record import Run
from bot.engine.cycle import apply
from bot.engine.rules import Rules
from tests.notation import Tape, cycles, setup_of
from tests.properties.random_tapes import rules, tapes


@settings(max_examples=20)
@given(tape=tapes(), drawn=rules())
def test_a_restart_from_the_ledger_lands_on_the_same_portfolio(tape: Tape, drawn: Rules) -> None:
    """Whatever a strategy does, folding what the ledger gives back is the account it ended with, and it verifies."""
    records, portfolio = cycles(drawn, tape)
    setup = setup_of(drawn, tape)
    started = datetime(2024, 1, 1, tzinfo=UTC)
    run = Run(name=setup.name, strategy="drawn", cash=setup.cash, identity=None, started_at=started)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        with writing(url, create=True) as book:
            book.keep_config(setup.config_hash, "")
            book.open_run(run, tape.instruments)
            assert book.commit_all(records) == len(records)
            refolded = apply(Portfolio(run=setup.name), book.facts(setup.name))
        assert refolded == replace(portfolio, settled_slot=None, settled_until=None)
        assert violations(url) == []
