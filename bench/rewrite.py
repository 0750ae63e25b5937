"""The floor under a ledger: its rows put into a fresh file of the same schema by one executemany a table.

The rows are in memory before the clock starts; it stops when the one transaction is committed.
"""

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

SCHEMA = "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' order by rowid"
TABLES = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by rowid"
# What a writer of a SQLite ledger sets; a database file keeps journal_mode alone.
SETTINGS = ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL")


def parents_first(ledger: sqlite3.Connection) -> list[str]:
    """Return the tables, each after those that its foreign keys name."""
    names = [name for (name,) in ledger.execute(TABLES)]
    parents = {name: {row[2] for row in ledger.execute(f"pragma foreign_key_list({name})")} - {name} for name in names}
    found: list[str] = []
    while len(found) < len(names):
        ready = [name for name in names if name not in found and parents[name] <= set(found)]
        if not ready:
            message = f"tables that name each other: {sorted(set(names) - set(found))}"
            raise ValueError(message)
        found += ready
    return found


def rewrite(ledger: Path, copy: Path) -> dict[str, float]:
    """Write a ledger's rows into a copy; how many, and the seconds of the transaction."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as written:
        schema = [statement for (statement,) in written.execute(SCHEMA)]
        rows = {name: written.execute(f"select * from {name}").fetchall() for name in parents_first(written)}
    with closing(sqlite3.connect(copy, isolation_level=None)) as fresh:
        for setting in SETTINGS:
            fresh.execute(f"pragma {setting}")
        for statement in schema:
            fresh.execute(statement)
        began, began_cpu = time.perf_counter(), time.process_time()
        fresh.execute("begin immediate")
        for name, found in rows.items():
            if found:
                fresh.executemany(f"insert into {name} values ({', '.join('?' * len(found[0]))})", found)
        fresh.execute("commit")
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"rows": sum(map(len, rows.values())), "seconds": seconds, "cpu": cpu}


if __name__ == "__main__":
    print(json.dumps(rewrite(Path(sys.argv[1]), Path(sys.argv[2]))))
