"""Which code this is: the release, and a digest of the source that runs.

Figures of other code are never taken for those of this one, however seldom the release changes.
"""

from pathlib import Path

import bot
from bot.adapters.code_digest import source_digest

DIGITS = 12


def code_version() -> str:
    """Return the version of the running code, `0.1.0+` and the first digits of its digest."""
    return f"{bot.__version__}+{source_digest(Path(bot.__file__).parent)[:DIGITS]}"
