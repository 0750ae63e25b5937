"""The command line itself: what a slip of the keyboard says, help, and completion in a real shell."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bot import __version__
from bot.app.telling.answers import count_of
from bot.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("statsu", "bot: no command 'statsu': did you mean `status`? (`bot --help` tells more)"),
        ("xyzzy", "bot: no command 'xyzzy': choose another (`bot --help` tells more)"),
        ("why --ledgr x", "bot why: no option --ledgr; did you mean `--ledger`? (`bot why --help` tells more)"),
        ("run --confg=x", "bot run: no option --confg; did you mean `--config`? (`bot run --help` tells more)"),
        ("status --xyzzy", "bot status: no option --xyzzy (`bot status --help` tells more)"),
        ("db upgrde", "bot db: no action 'upgrde': did you mean `upgrade`? (`bot db --help` tells more)"),
        (
            "completion basj",
            "bot completion: no shell 'basj': did you mean `bash`? (`bot completion --help` tells more)",
        ),
        ("why --form 2025-01-01", "bot why: no option --form; did you mean `--from`? (`bot why --help` tells more)"),
    ],
)
def test_what_is_mistyped_is_one_line_with_the_nearest(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """U12: a wrong command, action, choice or option is a usage error without a list of all there is."""
    assert main(typed.split()) == 2
    assert capsys.readouterr().err == f"{said}\n"


def test_the_version_and_help_have_their_usual_forms(capsys: pytest.CaptureFixture[str]) -> None:
    """U12: `-V` is `--version`, `bot help COMMAND` is `bot COMMAND --help`, and `bot help` lists all."""
    told = []
    for words in (["-V"], ["--version"], ["help", "db", "upgrade"], ["db", "upgrade", "--help"], ["help"], ["--help"]):
        assert main(words) == 0
        told.append(capsys.readouterr().out)
    assert told[::2] == told[1::2]
    assert told[0] == f"tidemark-bot {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["re"], ["replay", "resume"]),
        (["rep"], ["replay"]),
        (["replay", "--st"], ["--strategy"]),
        (["replay", "--strategy", "x", "--rec"], ["--recorded"]),
        (["db", "up"], ["upgrade"]),
        (["db", "upgrade", "--l"], ["--ledger"]),
        (["history", "--fr"], []),
        (["completion", ""], ["--help", "bash", "zsh", "fish"]),
        (["--v"], ["--version"]),
    ],
)
def test_bash_completes_commands_and_options(
    typed: list[str], offered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """U14: the printed script, sourced by a real bash, offers what fits behind the words typed so far."""
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(bot "$@"); COMP_CWORD=$#; _bot; printf "%s\\n" "${COMPREPLY[@]}"'
    asked = ["/usr/bin/env", "bash", "-c", f"set -u\n{script}\n{ask}", "bash", *typed]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(offered), "")


def test_other_shells_get_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    """U14: zsh gets the script of bash with what reads it, fish a rule for each word; no quote is left open."""
    assert main(["completion", "bash"]) == 0
    bash = capsys.readouterr().out
    assert main(["completion", "zsh"]) == 0
    zsh = capsys.readouterr().out
    assert zsh.endswith(bash)
    assert zsh.startswith("#compdef bot\n")
    assert main(["completion", "fish"]) == 0
    rules = capsys.readouterr().out.splitlines()
    assert all(rule.startswith("complete -c bot -n '") and rule.count("'") == 4 for rule in rules)
    (strategy,) = [rule for rule in rules if "seen_subcommand_from replay'" in rule and "-l strategy " in rule]
    assert "NAME.toml" in strategy
    (replay,) = [rule for rule in rules if "-a replay " in rule]
    assert "not __fish_seen_subcommand_from " in replay


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--help > /dev/full", "bot: standard output cannot be written: No space left on device"),
        ("completion bash > /dev/full", "bot: standard output cannot be written: No space left on device"),
        ("completion bash >&-", "bot: standard output is closed"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_cannot_be_written_is_one_line(command: str, said: str, unbuffered: str) -> None:
    """A full disk or a closed output: 74 and no traceback, with and without a buffer."""
    script = f"PYTHONUNBUFFERED={unbuffered} {shlex.quote(sys.executable)} -m bot {command}"
    done = subprocess.run(["/bin/sh", "-c", script], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr.count("\n"), done.stderr.startswith(said)) == (74, 1, True), done.stderr


def test_the_examples_of_the_help_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be evaluated by the shell is no argument of `bot`."""
    assert main(["completion", "--help"]) == 0
    assert 'example, in ~/.bashrc: eval "$(bot completion bash)"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("trades x.db", 2, "unrecognized arguments: x.db; did you mean `--ledger x.db`?"),
        ("replay levels_long history", 2, "required: --strategy: did you mean `--strategy levels_long`?"),
        ("replay --strategy levels_long history", 2, "is required: did you mean `--history history`?"),
        ("replay --json", 2, "required: --strategy (`bot replay"),
        ("replay --strategy levels_long --history histories", 78, "no such history folder; did you mean `history`?"),
        ("history check histories", 78, "no such history folder; did you mean `history`?"),
        ("history pack elsewhere", 78, "no such history folder: check the path"),
        ("replay --strategy levels_long --history notes.toml", 78, "notes.toml is a file, no history folder"),
        ("replay --strategy notes.toml --history history", 78, "(at line 1, column 8): write text in quotes"),
        ("sweep tried.toml", 78, "no such file; did you mean `bracket_fixed`?"),
        ("trades --from 2025-01-02 --to 2025-01-01", 2, "--from 2025-01-02T00:00Z is after --to 2025-01-01T23:59Z"),
        ("why SOL --from 2025-01-02 --at 2025-01-01", 2, "is after --at 2025-01-01T23:59Z: swap them"),
    ],
)
def test_a_slip_is_one_line_with_what_was_meant(
    typed: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A word without its option, a folder's name, a window the wrong way round: the line has the mend."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history").mkdir()
    (tmp_path / "notes.toml").write_text("name = levels\n")
    (tmp_path / "tried.toml").write_text(
        '[sweep]\nname = "x"\nstrategy = "bracket_fixd"\nhistory = "history"\n[parameters]\nstop.fraction = [0.1]\n'
    )
    assert main(typed.split()) == code
    told = capsys.readouterr().err
    assert (told.count("\n"), said in told) == (1, True), told


@pytest.mark.parametrize("typed", ["", "db", "history"])
def test_no_command_gets_the_list_of_commands(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2 as before, and the help that has them, at most 80 wide."""
    assert main(typed.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: ")
    assert ("upgrade", "demo", "derive")[["db", "", "history"].index(typed)] in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(("number", "text"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")])
def test_one_is_no_plural(number: int, text: str) -> None:
    """A number of things reads as people write it."""
    assert count_of(number, "entry", "entries") == text
    assert count_of(number, "trade") == ("1 trade" if number == 1 else f"{number} trades")
