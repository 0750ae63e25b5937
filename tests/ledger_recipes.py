"""The recipes of CONTRIBUTING.md for the ledger, each followed with a dummy: a column, a view, a fact, a row beside.

The dummies' migrations are for SQLite alone, as the tests of a recipe are.
"""

from bot.adapters.sql.schema.revisions import HEAD
from bot.adapters.sql.views import VIEWS
from tests.contract.test_ledger_views import digest_of
from tests.recipes import DOCS, Recipe, Step, new

FIXTURES = "tests.sqlite_ledgers"
FACTS = "bot/adapters/sql/schema/fact_tables.py"
SQL_TESTS = "tests/contract/test_ledger_sql.py"
LISTED = Step("bot/adapters/sql/schema/revisions.py", {f'"{HEAD}"': ', "9999"'})
SCHEMA = (
    "tests/contract/test_ledger_schema.py::test_the_listed_revisions_are_those_of_the_migrations",
    "tests/contract/test_ledger_schema.py::test_created_and_migrated_schemas_are_the_same",
)
TABLES = (
    f"{SQL_TESTS}::test_every_kind_of_fact_and_datum_has_a_table",
    f"{SQL_TESTS}::test_columns_are_named_as_the_fields",
)
IN_USE = f"{SQL_TESTS}::test_the_ids_of_every_table_are_derived_again"


def migration(*statements: str) -> Step:
    """Add a revision that executes these statements."""
    executed = "".join(f"    op.get_bind().exec_driver_sql({statement!r})\n" for statement in statements)
    text = f"""from alembic import op

revision = "9999"
down_revision = "{HEAD}"


def upgrade():
    pass
{executed}"""
    return new("migrations/versions/9999_dummy.py", text)


def guards(table: str) -> tuple[str, str]:
    """Write the triggers of a table."""
    update, delete = (
        f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for change in ("update", "delete")
    )
    return update, delete


COLUMN = Recipe(
    "a stored column",
    (
        Step("bot/domain/positions.py", {"    low: Price\n    high: Price\n": "    origin: str | None = None\n"}),
        Step(FACTS, {'    *exact("price", "low", "high"),\n': '    *text("origin", required=False),\n'}),
        migration("ALTER TABLE marks ADD COLUMN origin TEXT"),
        LISTED,
    ),
    (*TABLES, *SCHEMA),
    FIXTURES,
)

CASH = "SELECT run, slot FROM equity"
WITH_CASH = digest_of({"v_cash": CASH, **VIEWS})
VIEW = Recipe(
    "a view",
    (
        Step(
            "bot/adapters/sql/views.py",
            {
                "VIEWS: Mapping[str, str] = MappingProxyType(\n    {\n": f'        "v_cash": "{CASH}",\n',
            },
        ),
        Step("bot/adapters/sql/dictionary.toml", {"[views]\n": 'v_cash = "One row per slot."\n'}),
        migration(),
        LISTED,
        Step(
            "tests/contract/test_ledger_views.py",
            {"CONTRACT = {\n": '    "v_cash": "run slot",\n', "CHANGES = {\n": f'    "9999": "{WITH_CASH}",\n'},
        ),
        DOCS,
    ),
    (
        "tests/contract/test_ledger_views.py::test_the_views_have_changed_only_with_a_revision",
        "tests/contract/test_ledger_views.py::test_no_view_is_left_out_of_the_contract",
        "tests/contract/test_ledger_views.py::test_every_view_has_the_columns_of_the_contract",
        "tests/test_docs.py::test_the_dictionary_of_the_ledger_is_that_of_its_texts",
        "tests/test_docs.py::test_every_view_and_column_has_its_text_and_no_text_is_left_over",
        *SCHEMA,
    ),
    FIXTURES,
)

FACT = Recipe(
    "a fact kind",
    (
        Step(
            "bot/domain/decisions.py",
            {
                "    price: Price | None\n    worth: Decimal\n": '''

@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A remark on a run."""

    remark_id: str
    run: RunName
    slot: datetime
    words: str
'''
            },
        ),
        Step("bot/domain/decisions.py", {"    | BenchmarkPart\n": "    | Remark\n"}),
        Step(
            "bot/domain/ids.py",
            {
                '    return EntryId(derive("je", [run, cause]))\n': '''

def remark_id(run: RunName, words: str) -> str:
    """Derive the id of a remark."""
    return derive("rem", [run, words])
'''
            },
        ),
        Step(
            "bot/engine/fold.py",
            {
                "from bot.domain.amend import amend\n": "from bot.domain.decisions import Remark\n",
                "        BenchmarkPart: _part_bought,\n": "        Remark: _note,\n",
                "        portfolio.parts.pop(part.token_id, None)\n": """

def _note(portfolio: Portfolio, _remark: Remark) -> None:
    portfolio.loss_streak = 0
""",
            },
        ),
        Step(
            FACTS,
            {
                '    Index(None, "request_id"),\n)\n': """
remarks = _fact_table(
    "remarks", *text("remark_id", "run"), *instant("slot"), *text("words"), PrimaryKeyConstraint("remark_id")
)
"""
            },
        ),
        migration(
            "CREATE TABLE remarks (seq INTEGER NOT NULL, remark_id TEXT NOT NULL, run TEXT NOT NULL,"
            " slot TEXT NOT NULL, words TEXT NOT NULL, CONSTRAINT pk_remarks PRIMARY KEY (remark_id),"
            " CONSTRAINT ck_remarks_seq_not_negative CHECK (seq >= 0),"
            " CONSTRAINT fk_remarks_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot)"
            " ON DELETE RESTRICT) STRICT",
            "CREATE INDEX ix_remarks_run_slot ON remarks (run, slot)",
            *guards("remarks"),
        ),
        LISTED,
        Step(
            "bot/adapters/sql/mapping.py",
            {
                "from bot.domain.decisions import ": "Remark, ",
                "    RunEvent: fact_tables.run_events,\n": "    Remark: fact_tables.remarks,\n",
            },
        ),
        Step(
            "bot/adapters/sql/facts.py",
            {
                "from bot.domain.decisions import ": "Remark, ",
                "_WHOLE_STORY: tuple[type[Fact], ...] = (\n": "    Remark,\n",
            },
        ),
        Step(
            "bot/adapters/sql/verify.py",
            {
                "    positions,\n)\n": "from bot.adapters.sql.schema.fact_tables import remarks\n",
                "        fills: lambda row: ids.fill_id(row.order_id, 0),  # an order has one fill\n": (
                    "        remarks: lambda row: ids.remark_id(row.run, row.words),\n"
                ),
            },
        ),
        Step(
            "tests/memory_ledger.py",
            {
                "from bot.domain.decisions import ": "Remark, ",
                '        EquityMark: ("run", "slot"),\n': '        Remark: ("remark_id",),\n',
            },
        ),
        Step(
            SQL_TESTS,
            {
                "from bot.domain.decisions import ": "Remark, ",
                "    first = replace(first, facts=(*first.facts, part))\n": (
                    "    from bot.domain import ids\n"
                    '    remark = Remark(remark_id=ids.remark_id(RUN, "quiet"), run=RUN, slot=TEN, words="quiet")\n'
                    "    first = replace(first, facts=(*first.facts, remark))\n"
                ),
            },
        ),
    ),
    (
        *TABLES,
        f"{SQL_TESTS}::test_every_kind_of_fact_is_folded_and_held_by_both_ledgers",
        f"{SQL_TESTS}::test_every_id_of_a_fact_is_derived_again",
        *SCHEMA,
        IN_USE,
    ),
    FIXTURES,
)

BESIDE = Recipe(
    "a row beside the writer",
    (
        Step(
            "bot/domain/record.py",
            {
                "    derived: str | None = None\n": '''

@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note on a run."""

    run: RunName
    noted_at: datetime
    words: str
'''
            },
        ),
        Step(
            "bot/adapters/sql/schema/tables.py",
            {
                '    *not_negative("cycles", "answers"),\n)\n': """
notes = table(
    "notes",
    *text("run"),
    *instant("noted_at"),
    *text("words"),
    PrimaryKeyConstraint("run", "noted_at"),
    _of_run(),
)
"""
            },
        ),
        migration(
            "CREATE TABLE notes (run TEXT NOT NULL, noted_at TEXT NOT NULL, words TEXT NOT NULL,"
            " CONSTRAINT pk_notes PRIMARY KEY (run, noted_at),"
            " CONSTRAINT fk_notes_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT) STRICT",
            *guards("notes"),
        ),
        LISTED,
        Step(
            "bot/adapters/sql/beside.py",
            {
                "from bot.domain.record import ": "Note, ",
                "from bot.adapters.sql.schema.tables import ": "notes, ",
                "Beside = ": "Note | ",
                "    {Request: requests, ": "Note: notes, ",
            },
        ),
        Step(
            SQL_TESTS,
            {
                "from bot.domain.record import ": "Note, ",
                "    put(url, [parity_check(TEN)])\n": '    put(url, [Note(run=RUN, noted_at=TEN, words="quiet")])\n',
            },
        ),
    ),
    (*TABLES, *SCHEMA, IN_USE),
    FIXTURES,
)

OF_THE_LEDGER = (COLUMN, VIEW, FACT, BESIDE)
