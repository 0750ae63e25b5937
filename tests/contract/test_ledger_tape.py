"""The tape: answers and data kept once, and given back as they were."""

import hashlib
import zlib

import pytest
from sqlalchemy import func, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.ledger import SqlLedger
from bot.adapters.sql.schema.tape_tables import answers, api_calls
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.verify import violations
from tests.contract.tape_samples import api_call, recorded

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


def test_a_request_without_an_answer_is_recorded(tape: SqlTape, book: SqlLedger) -> None:
    """A request that failed leaves a row, and no body."""
    tape.answer(api_call(None), None)
    with begin(book.engine) as connection:
        assert connection.execute(select(api_calls.c.status)).scalar_one() is None
        assert connection.execute(select(answers)).first() is None
