"""Optional dependencies: what lacks one says so in one wording, whichever command needed it."""

from bot.domain.errors import ConfigError


def missing_extra(needed_by: str, extra: str) -> ConfigError:
    """Return the error for an absent extra of pyproject.toml; needed_by: the key, option, file or ledger concerned."""
    return ConfigError(f'{needed_by} needs the extra {extra}: pip install "tidemark-bot[{extra}]"')
