"""How the provider's feeds did lately, and what of them is missing: of all tokens, or of one."""

from bot.adapters.sql.reads import Reader
from bot.app.telling.answers import Answer, Column, Row, Table
from bot.app.telling.printing import show_value

FEEDS = "select * from v_feeds order by feed"
HOLES = """
select feed, missing, "from", "to", state, attempts, next_at, reason from v_holes
order by feed, "from", tokens
"""
REFUSED = """
select feed, field, reason, count(*) as times, max(known_at) as last_at from v_refusals
group by feed, field, reason order by count(*) desc, feed, field, reason
"""
SHARES = ("error_rate", "p50", "p95", "p99")
FAILED = "select slot, reason from v_cycles where state = 'failed' order by slot desc limit 1"
# Of one token; its id stands between commas.
HOLES_OF = """
select h.feed, h.state, h."from", h."to", h.next_at, h.reason from v_holes h
where h.state <> 'final' and exists (
    select 1 from v_instruments i where i.{column} = :{column}
    and ',' || h.tokens || ',' like '%,' || i.token_id || ',%'
)
order by h."from"
"""
REFUSED_OF = """
select feed, field, reason, count(*) as times, max(known_at) as last_at from v_refusals
where {column} = :{column} group by feed, field, reason order by max(known_at) desc limit 3
"""
COLUMNS = (
    Column("feed"), Column("calls"), Column("error_rate"), Column("p50", "s", 1),
    Column("p95", "s"), Column("p99", "s", 1), Column("rows", "", 3), Column("credits", "", 2),
    Column("freshest_at"), Column("last_good_at", "", 3), Column("revisions", "", 2),
)  # fmt: skip


def show_feeds(url: str) -> Answer:
    """Answer with the feeds of a ledger, their holes, and what was refused of them."""
    reader = Reader(url)
    feeds, holes, refused = (reader.rows(asked, {}) for asked in (FEEDS, HOLES, REFUSED))
    for row in feeds:
        row |= {name: round(float(str(row[name])), 3) for name in SHARES}
    none = "no request to a provider is in this ledger"
    return Answer(
        payload={"feeds": feeds, "holes": holes, "refusals": refused},
        parts=(
            Table(rows=feeds, columns=COLUMNS, empty=none),
            *(("\nwhat did not come\n", Table(rows=holes)) if holes else ()),
            *(("\nwhat could not be read\n", Table(rows=refused)) if refused else ()),
        ),
    )


def tell_lacks(reader: Reader, named: Row) -> tuple[str, ...]:
    """Say what the source did not give of a token: the slot that failed last, holes, refusals.

    named: the column and the value that name the token.
    """
    (column,) = named
    failed = (
        f"the slot of {show_value(row['slot'])[:16]}Z failed: {row['reason']}"
        for row in reader.rows(FAILED, {})
    )
    holes = (
        f"{row['feed']} of {show_value(row['from'])[:16]}Z to {show_value(row['to'])[:16]}Z did not"
        f" come ({row['state']}): {row['reason']}"
        for row in reader.rows(HOLES_OF.format(column=column), named)
    )
    refused = (
        f"{row['feed']}: {row['field']} was refused {row['times']} times, last at"
        f" {show_value(row['last_at'])[:16]}Z: {row['reason']}"
        for row in reader.rows(REFUSED_OF.format(column=column), named)
    )
    return (*failed, *holes, *refused)
