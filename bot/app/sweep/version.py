"""The version of the running code: the release, and a digest of the source.

The digest keeps figures of different code apart, even where the release number is the same.
"""

from pathlib import Path

import bot
from bot.adapters.code_digest import source_digest

DIGITS = 12


def code_version() -> str:
    """Build the version of the running code: `0.1.0+` and the first digits of its digest."""
    return f"{bot.__version__}+{source_digest(Path(bot.__file__).parent)[:DIGITS]}"
