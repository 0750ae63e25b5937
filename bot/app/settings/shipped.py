"""What the program ships: the example configuration and the strategies.

They lie beside the package in a checkout, and inside it in a wheel.
"""

from collections.abc import Mapping
from pathlib import Path

from bot.app.settings.kinds import near
from bot.domain.errors import ConfigError

FIRST = "levels_long"


def starter_config(strategy: str = FIRST) -> str:
    """Read config.example.toml, which `bot init` writes, with this strategy's name in it."""
    example = _place("config.example.toml", "config.example.toml")
    return example.read_text(encoding="utf-8").replace(FIRST, strategy)


def starter_strategy() -> str:
    """Read the strategy that `bot init` writes at first."""
    return shipped_strategy(FIRST).read_text(encoding="utf-8")


def shipped_strategies() -> Mapping[str, Path]:
    """List the shipped strategies: their files by name, in order."""
    return {path.stem: path for path in sorted(_place("strategies", "_strategies").glob("*.toml"))}


def shipped_strategy(name: str) -> Path:
    """Find a shipped strategy by its name; raises ConfigError that suggests the nearest."""
    found = shipped_strategies()
    if name not in found:
        hint = near(name, found) or f"; shipped are {', '.join(found)}"
        raise ConfigError(f"no strategy {name} is shipped{hint}")
    return found[name]


def describe_strategy(path: Path) -> str:
    """Read the first line of a strategy's file, a comment that says what it is.

    In a checkout one's own lie beside the shipped; those without such a comment are called so.
    """
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return (
        first.lstrip("# ")
        if first.startswith("#")
        else "your own; a comment in its first line would say what it is"
    )


def _place(beside: str, inside: str) -> Path:
    package = Path(__file__).resolve().parents[2]
    checkout = package.parent / beside
    return checkout if checkout.exists() else package / inside
