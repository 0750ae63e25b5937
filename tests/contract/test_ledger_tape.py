"""The tape: answers and data kept once, and given back as they were."""

import hashlib
import zlib
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.ledger import SqlLedger
from bot.adapters.sql.schema.tape_tables import answers, api_calls
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.verify import violations
from bot.domain.record import FailedTry
from bot.domain.tape import HoleState
from tests.contract.ledger_samples import ETH, HOUR, RUN, SOL, TEN, opened
from tests.contract.questions import ask
from tests.contract.tape_samples import api_call, attempts, hole, pause, recorded, refusals

BODY = b'{"data":[1.50]}' * 40


@pytest.fixture
def tape(book: SqlLedger) -> SqlTape:
    """A tape on either database."""
    return SqlTape(book.engine)


def test_data_come_back_as_they_were(tape: SqlTape) -> None:
    """Every kind of datum survives the ledger with all its digits, an empty set of levels included."""
    tape.rows(recorded())
    assert sorted(map(repr, tape.load())) == sorted(map(repr, recorded()))


def test_recording_twice_equals_once(tape: SqlTape, book: SqlLedger, made_url: str) -> None:
    """The same answer and the same rows again leave one of each, and the ledger verifies."""
    digest = hashlib.sha256(BODY).hexdigest()
    for _ in range(2):
        tape.answer(api_call(digest), BODY)
        tape.rows(recorded())
    with begin(book.engine) as connection:
        assert connection.execute(select(func.count()).select_from(api_calls)).scalar() == 1
        stored = connection.execute(select(answers)).one()
    assert len(stored.body) < stored.size == len(BODY)
    assert zlib.decompress(stored.body) == BODY
    assert len(list(tape.load())) == len(recorded())
    assert violations(made_url) == []


def test_what_the_source_did_not_give_is_rows(tape: SqlTape, book: SqlLedger) -> None:
    """S14, S15: attempts, refusals, holes and failed tries are read in SQL, and verify stays right."""
    tape.answer(replace(api_call(None), error="no answer"), None, attempts())
    tape.refuse("req-1", refusals())
    for state in (hole(HoleState.OPEN, TEN), hole(HoleState.OPEN, TEN + HOUR, 2)):
        tape.note([state, pause()])
    opened(book)
    for attempt in (1, 2):
        tried = FailedTry(run=RUN, slot=TEN, attempt=attempt, at=TEN + attempt * HOUR, reason=f"down {attempt}")
        book.keep_try(tried)
    tries = [(one["number"], one["status"], one["retry_after"]) for one in ask(book, "SELECT * FROM v_api_attempts")]
    assert sorted(tries) == [(1, 429, 1.5), (2, 200, None)]
    refused = ask(book, "SELECT feed, token_id, field, reason, value FROM v_refusals ORDER BY reason")
    assert [tuple(row.values()) for row in refused] == [
        ("trading-signals", SOL, "tm_trader_grade", "out_of_range", "1000"),
        ("trading-signals", None, "row", "wrong_type", '"x"'),
    ]
    (held,) = ask(book, 'SELECT tokens, "from", state, attempts, next_at FROM v_holes')
    tokens = ",".join(map(str, (SOL, ETH)))
    assert [held["tokens"], held["state"], held["attempts"]] == [tokens, "open", 2]
    (feed,) = ask(book, "SELECT calls, error_rate, p50, credits FROM v_feeds")
    assert [float(value) for value in feed.values()] == [1, 1, 0.12, 1]
    (failed,) = ask(book, "SELECT slot, state, reason, config_hash FROM v_cycles")
    assert [failed["state"], failed["reason"], failed["config_hash"]] == ["failed", "down 2", None]
    assert tape.load_holes() == [hole(HoleState.OPEN, TEN), hole(HoleState.OPEN, TEN + HOUR, 2)]
    assert tape.load_pauses() == [pause()]
    assert tape.calls_since(TEN) == [api_call(None).at]
    tape.note([hole(HoleState.FILLED, TEN + 2 * HOUR, 2)])
    assert ask(book, "SELECT * FROM v_holes") == []
    assert violations(book.engine.url.render_as_string(hide_password=False)) == []


def test_a_request_without_an_answer_is_recorded(tape: SqlTape, book: SqlLedger) -> None:
    """A request that failed leaves a row, and no body."""
    tape.answer(api_call(None), None)
    with begin(book.engine) as connection:
        assert connection.execute(select(api_calls.c.status)).scalar_one() is None
        assert connection.execute(select(answers)).first() is None
