"""Optional dependencies: every command words the error about a missing one in the same way."""

from bot.domain.errors import ConfigError


def missing_extra(needed_by: str, extra: str) -> ConfigError:
    """Build the error for an extra of pyproject.toml that is not installed.

    needed_by: the key, option, file or ledger that needs the extra.
    """
    return ConfigError(f'{needed_by} needs the extra {extra}: pip install "tidemark-bot[{extra}]"')
