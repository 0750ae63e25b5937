"""`bot verify`: every invariant of a ledger, and with --deep every cycle of its live runs."""

from pathlib import Path

from bot.adapters.sql.verify import violations
from bot.app.parity.parity import every_parity
from bot.app.settings.config import ledger_of
from bot.app.telling.answers import Answer
from bot.domain.errors import BadInputError


def verify(config_path: Path, ledger: str | None, *, deep: bool) -> Answer:
    """Check every invariant of a ledger; 65 if something is wrong; deep: derive its runs again."""
    found = violations(ledger_of(config_path, ledger))
    runs = every_parity(config_path, ledger) if deep else []
    wrong = (*found, *(str(run) for run in runs if run.difference))
    right = "the ledger is right: books balanced, ids and hash chain recomputed"
    return Answer(
        payload={"violations": found, **({"derived": [run.row for run in runs]} if deep else {})},
        parts=wrong or (*map(str, runs), right),
        exit_code=BadInputError.exit_code if wrong else 0,
    )
