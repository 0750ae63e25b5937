"""Without an optional dependency every command that needs it says so in one line (78), and which extra to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.app.settings.shipped import starter_config
from bot.cli.main import main
from tests.sweep_files import SWEEP, place

SERVER = "postgresql://u:secret@127.0.0.1:9/books"
LINE = 'bot: the ledger 127.0.0.1/books needs the extra postgresql: pip install "tidemark-bot[postgresql]"\n'

# Blocks a library in a fresh interpreter, as if it had never been installed.
ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from bot.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a configuration over a PostgreSQL ledger, a strategy, a sweep and a history."""
    place(tmp_path, SWEEP)
    text = starter_config().replace("sqlite:///tidemark.db", SERVER)
    (tmp_path / "config.toml").write_text(text.replace('strategy = "levels_long"', 'strategy = "waves"'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOT_API_KEY", "tm-key-long-enough")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "status", "trades", "positions", "orders", "equity", "why", "why BTC", "explain ord-1", "verify",
        "verify --deep", "parity", "pause", "resume", "close BTC", "flatten", "db upgrade", "check", "run", "once",
        "once --dry-run",
        f"status --ledger {SERVER}",
        f"replay --strategy strategies/waves.toml --history history --ledger {SERVER}",
        f"replay --strategy strategies/waves.toml --recorded {SERVER} --ledger r.db",
        f"sweep sweep.toml --ledger {SERVER}",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("home")
def test_a_postgresql_ledger_without_the_driver_is_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """U2: every command that opens a ledger names the extra, without a traceback and without the password."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code = main(command.split())
    assert (code, capsys.readouterr().err) == (78, LINE)


def test_a_fresh_interpreter_without_the_driver_says_the_same(tmp_path: Path) -> None:
    """U2: `bot status` where psycopg was never installed: one line and 78."""
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, "status", "--ledger", SERVER],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (78, LINE)


@pytest.mark.parametrize(
    "command",
    [
        "replay --strategy strategies/waves.toml --history history --ledger r.db",
        "check --lookahead --strategy strategies/waves.toml --history history",
        "history pack history",
        "sweep sweep.toml --ledger s.db",
    ],
)
def test_a_parquet_file_without_its_library_is_one_line(
    home: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """U2: every command that reads a history folder names the file and the extra."""
    (home / "history" / "signals.csv").rename(home / "history" / "signals.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(command.split()) == 78
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.endswith('history/signals.parquet needs the extra parquet: pip install "tidemark-bot[parquet]"\n')
