"""The reading commands: they need a ledger and nothing else, so they work with the daemon dead."""

from datetime import datetime
from pathlib import Path

from bot.adapters.sql.reads import Reader
from bot.app import reports
from bot.app.config import load_config

STATEMENTS = {
    "status": reports.STATUS,
    "trades": reports.TRADES,
    "positions": reports.POSITIONS,
    "orders": reports.ORDERS,
    "equity": reports.EQUITY,
}


def ledger_of(config_path: Path, ledger: str | None) -> str:
    """Return the ledger's URL: the one given, else the configuration's."""
    return ledger if ledger is not None else load_config(config_path).ledger_url


def show(name: str, config_path: Path, ledger: str | None, run: str | None, *, as_json: bool) -> int:
    """Print one of the tables."""
    found = reports.rows_of(Reader(ledger_of(config_path, ledger)), STATEMENTS[name], run)
    if as_json:
        print(reports.as_json(found))
    else:
        print(reports.table(found) if found else f"no {name} yet")
    return 0


def show_why(
    symbol: str, at: datetime | None, config_path: Path, ledger: str | None, run: str | None, *, as_json: bool
) -> int:
    """Print why a token was or was not traded."""
    answer = reports.why(Reader(ledger_of(config_path, ledger)), symbol, at, run)
    if as_json:
        print(reports.as_json(answer))
    elif answer is None:
        print(f"{symbol} was no candidate: no bullish turn of it has come to a decision yet")
    else:
        print(reports.tell_why(answer))
    return 0


def verify(config_path: Path, ledger: str | None, *, as_json: bool) -> int:
    """Check every invariant of a ledger; 65 where one is broken."""
    from bot.adapters.sql.verify import violations  # noqa: PLC0415 - the other commands do without it
    from bot.domain.errors import BadInputError  # noqa: PLC0415

    found = violations(ledger_of(config_path, ledger))
    if as_json:
        print(reports.as_json({"violations": found}))
    else:
        print("\n".join(found) if found else "the ledger is right: books balanced, ids and hash chain recomputed")
    return BadInputError.exit_code if found else 0


def upgrade(config_path: Path, ledger: str | None) -> int:
    """Create a ledger or bring its schema up to date."""
    from bot.adapters.sql.migrate import upgrade as migrate  # noqa: PLC0415 - its import is slow

    url = ledger_of(config_path, ledger)
    print(migrate(url))
    return 0
