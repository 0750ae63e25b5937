"""Optional dependencies: every command words the error about a missing one in the same way."""

from bot.domain.errors import ConfigError


def missing_extra(needed_by: str, extra: str) -> ConfigError:
    """Build the error for an extra that is not installed, and that a key, option or file needs."""
    return ConfigError(f'{needed_by} needs the extra {extra}: pip install "tidemark-bot[{extra}]"')
