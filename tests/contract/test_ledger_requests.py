"""An operator's requests: put beside a writer without its lease, pending until an event of the run names them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from bot.adapters.sql.beside import put
from bot.adapters.sql.ledger import SqlLedger, reading, writing
from bot.adapters.sql.migrate import upgrade
from bot.adapters.sql.verify import violations
from bot.domain.errors import ConfigError
from bot.domain.events import Act, Request
from bot.domain.ids import RunName
from tests.contract.decision_samples import BOTH, CLOSE, THIRTEEN, TWELVE, both_ways, request
from tests.contract.ledger_samples import RUN, SOL, opened, story
from tests.memory_ledger import MemoryLedger

AnyLedger = SqlLedger | MemoryLedger

PAUSE = request(Act.PAUSE)
PUTTING = """
import sys
from datetime import UTC, datetime
from bot.adapters.sql.beside import put
from bot.domain.events import Act, Request, request_id_of
at = datetime(2024, 3, 1, 12, tzinfo=UTC)
name = request_id_of("both_ways", Act.PAUSE, None, at)
put(sys.argv[1], [Request(request_id=name, run="both_ways", act=Act.PAUSE, token_id=None, asked_at=at)])
"""


def ask(ledger: AnyLedger, *requests: Request) -> None:
    """Put requests as an operator does: in SQL by the ledger's URL, from beside the writer."""
    if isinstance(ledger, MemoryLedger):
        ledger.put(requests)
    else:
        put(url_of(ledger), requests)


def url_of(ledger: SqlLedger) -> str:
    """Return the URL that an operator would have."""
    return ledger.engine.url.render_as_string(hide_password=False)


def test_requests_wait_in_the_order_they_were_asked(ledger: AnyLedger) -> None:
    """Pending are those of the run alone, by instant and then by id, each once however often it is put."""
    early, late = request(Act.FLATTEN), request(Act.RESUME, THIRTEEN)
    together = sorted((early, PAUSE, CLOSE), key=lambda one: one.request_id)
    assert ledger.requests(BOTH) == ()
    ask(ledger, late, early, request(Act.PAUSE, run=RUN))
    ask(ledger, early, PAUSE, CLOSE)
    assert ledger.requests(BOTH) == (*together, late)


def test_what_an_event_names_is_no_longer_pending(ledger: AnyLedger) -> None:
    """A request is applied once: after a cycle whose event names it, only the others wait."""
    *before, last = both_ways()
    ledger.commit_all(before)
    ask(ledger, PAUSE, CLOSE)
    assert set(ledger.requests(BOTH)) == {PAUSE, CLOSE}
    ledger.commit_all([last])
    assert ledger.requests(BOTH) == (PAUSE,)


def test_another_process_may_ask_while_a_writer_holds_the_ledger(made_url: str) -> None:
    """Between two commits of a daemon a request comes in, is seen by it, and stops none of its commits."""
    first, *rest = both_ways()
    with writing(made_url, create=True) as book:
        opened(book, BOTH).commit_all([first])
        subprocess.run([sys.executable, "-c", PUTTING, made_url], check=True)
        assert book.requests(BOTH) == (PAUSE,)
        assert book.commit_all(rest) == len(rest)
    with reading(made_url) as read:
        assert read is not None
        assert read.requests(BOTH) == (PAUSE,)
    assert violations(made_url) == []


def test_a_request_waits_for_a_commit_to_end(made_url: str) -> None:
    """One that comes while a transaction of the daemon is open is there after it."""
    with writing(made_url, create=True) as book:
        asking = Thread(target=put, args=(made_url, [PAUSE]))
        opened(book, BOTH)
        with book.one_transaction():
            asking.start()
            book.commit_all(both_ways())
        asking.join()
        assert book.requests(BOTH) == (PAUSE,)


def test_a_request_of_a_run_that_is_not_there_is_refused(book: SqlLedger) -> None:
    """The message names the runs there are, and none of the requests is kept."""
    unknown = request(Act.PAUSE, run=RunName("levels_lang"))
    with pytest.raises(ConfigError, match=r"no run levels_lang in the ledger .*: it has levels_long$"):
        put(url_of(book), [request(Act.PAUSE, run=RUN), unknown])
    assert book.requests(RUN) == ()


def test_a_request_needs_a_ledger(tmp_path: Path) -> None:
    """Where there is no ledger, or none with a run, nothing is created and the message says so."""
    with pytest.raises(ConfigError, match="there is no ledger at"):
        put(f"{tmp_path}/none.db", [PAUSE])
    assert list(tmp_path.iterdir()) == []
    upgrade(f"{tmp_path}/empty.db")
    with pytest.raises(ConfigError, match="it has none yet"):
        put(f"{tmp_path}/empty.db", [PAUSE])


def test_a_request_under_a_wrong_id_is_found(made_url: str) -> None:
    """Verification derives the id of each request again; a right one is no violation."""
    with writing(made_url, create=True) as book:
        opened(book).commit_all(story())
    right = request(Act.CLOSE, TWELVE, SOL, RUN)
    put(made_url, [right])
    assert violations(made_url) == []
    put(made_url, [replace(right, request_id=PAUSE.request_id)])
    assert violations(made_url) == [f"requests: {PAUSE.request_id} is not the id of what it names"]
