"""Strategy files as tests write them: the least that is accepted, and what refuses the rest."""

from pathlib import Path

import pytest

from bot.app.settings.strategies import Strategy, load_strategy
from bot.domain.errors import ConfigError

HEAD = '[strategy]\nname = "plain"\nuniverse = ["BTC"]\n'
SIZED = '[sizing]\nrule = "fixed_notional"\nnotional = 100\n'
STOPPED = '[stop]\nrule = "fraction"\nfraction = 0.1\n'


def read(folder: Path, text: str) -> Strategy:
    """Read a strategy of this text."""
    (folder / "plain.toml").write_text(text)
    return load_strategy("plain", folder)


def refusal(folder: Path, text: str) -> str:
    """Return the one line that refuses a strategy of this text."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert caught.value.exit_code == 78
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(folder / "plain.toml"))
    return line
