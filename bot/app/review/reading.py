"""The reading commands: they need a ledger and nothing else, so they work with the daemon dead."""

from pathlib import Path

from bot.adapters.sql.reads import Reader
from bot.app.review import reports
from bot.app.review.digest import Window, digest, in_force, tell_digest
from bot.app.review.explaining import explain, print_order
from bot.app.review.why import tell_why, why
from bot.app.settings.config import ledger_of
from bot.app.telling.answers import show_value, table, to_json

STATEMENTS = {
    "status": reports.STATUS,
    "trades": reports.TRADES,
    "positions": reports.POSITIONS,
    "orders": reports.ORDERS,
    "equity": reports.EQUITY,
}


def show(name: str, config_path: Path, ledger: str | None, run: str | None, *, as_json: bool) -> int:
    """Print one of the tables and return the exit code."""
    reader = Reader(ledger_of(config_path, ledger))
    found = reports.rows_of(reader, STATEMENTS[name], run)
    if name == "status":
        found = [
            {**row, "in_force": stops_in_force(reader, run), "parity": parity_state(reader, run)}
            for row in found
            for run in [str(row["run"])]
        ]
    if as_json:
        print(to_json(found))
    else:
        print(table(found) if found else f"no {name} yet")
    return 0


def stops_in_force(reader: Reader, run: str) -> str | None:
    """Name the pause and the tripped breakers of a run; None if there are none."""
    return ", ".join(str(row["name"]) for row in in_force(reader, None, run)) or None


def parity_state(reader: Reader, run: str) -> str | None:
    """Describe a run's newest parity check and the last difference; None without a check."""
    rows = reader.rows(reports.PARITY, {"run": run})
    if not rows:
        return None
    differing = [row for row in rows if not row["is_identical"]]
    if not differing:
        return "identical"
    last = differing[0]
    told = f"{last['kind']} {show_value(last['differs_at'])}: {last['what']}"
    return f"differs: {told}" if last is rows[0] else f"identical, but differed at {told}"


def show_why(
    symbol: str | None, window: Window, config_path: Path, ledger: str | None, run: str | None, *, as_json: bool
) -> int:
    """Print why a token was or was not traded.

    Without a symbol, prints for each run why it did or did not trade.
    """
    reader = Reader(ledger_of(config_path, ledger))
    if symbol is None:
        found = digest(reader, window, run)
        print(to_json(found) if as_json else tell_digest(found))
        return 0
    answer = why(reader, symbol, window, run)
    if as_json:
        print(to_json(answer))
    elif answer is None:
        span = " in this window" if any(window) else ""
        print(f"{symbol} was no candidate{span}: no turn of it has come to a decision{span or ' yet'}")
    else:
        print(tell_why(answer))
    return 0


def show_explained(order_id: str, config_path: Path, ledger: str | None, *, as_json: bool) -> int:
    """Print an order with everything behind it, from recorded answers to postings."""
    answer = explain(Reader(ledger_of(config_path, ledger)), order_id)
    print(to_json(answer) if as_json else print_order(answer))
    return 0
