"""What the nightly parity keeps: rows beside the writer, shown by v_parity and by `bot status`."""

from bot.adapters.sql.beside import put
from bot.adapters.sql.ledger import SqlLedger
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.verify import violations
from bot.app.review.reading import parity_state
from bot.app.telling.printing import show_value
from tests.contract.ledger_samples import HOUR, RUN, TEN, parity_check, story


def test_checks_are_kept_beside_the_writer(book: SqlLedger) -> None:
    """Each once, while the writer holds the ledger; the newest counts, and a difference is never forgotten."""
    url = book.engine.url.render_as_string(hide_password=False)
    book.commit_all(story())
    reader = Reader(url)
    assert parity_state(reader, RUN) is None
    for _ in range(2):
        put(url, [parity_check(TEN)])
    assert parity_state(reader, RUN) == "identical"
    what = "fills fill-1, price"
    other = parity_check(TEN + HOUR, kind="fill", differs_at=TEN, what=what, stored="1", derived="2")
    put(url, [other])
    told = "fill 2024-03-01 10:00:00Z: fills fill-1, price"
    assert parity_state(reader, RUN) == f"differs: {told}"
    put(url, [parity_check(TEN + 2 * HOUR)])
    assert parity_state(reader, RUN) == f"identical, but differed at {told}"
    rows = reader.rows("select * from v_parity order by checked_at", {})
    assert [bool(row["is_identical"]) for row in rows] == [True, False, True]
    assert [rows[1][name] for name in ("kind", "what", "stored", "derived")] == ["fill", what, "1", "2"]
    assert [rows[0][name] for name in ("cycles", "answers", "row_hash", "code_version")] == [2, 7, other.row_hash, "1"]
    instants = [show_value(rows[1][name]) for name in ("first_slot", "last_slot", "differs_at")]
    assert instants == [show_value(at) for at in (other.first_slot, other.last_slot, other.differs_at)]
    assert violations(url) == []
