"""`bot status --feeds`: how the provider's feeds did lately, and what of them is missing."""

from bot.adapters.sql.reads import Reader
from bot.app.telling.answers import Answer, Column, Table

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
