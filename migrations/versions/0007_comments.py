"""Every view and column says what it means on PostgreSQL, where words are text and numbers end in no zeros.

Tables stay as they are: views and their comments are created again with every upgrade.
"""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Change no table."""
