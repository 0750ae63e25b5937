"""The first ledger: every table, trigger and view as `bot.adapters.sql` declares them.

A first revision may lean on the declarations; from the second on, a revision says what it changes in its own words.
"""

from alembic import op

from bot.adapters.sql.schema import create

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    create(op.get_bind())
