"""`bot completion`: scripts that complete commands and options, made from the parser itself."""

import argparse
from collections.abc import Iterator

from bot.app.telling.answers import Answer
from bot.cli.options import Commands, add_command

BASH = """_bot() {{
  local path="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
      {paths}) path="$path $word" ;;
    esac
  done
  case "$path" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$word" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _bot bot
"""
ZSH = "#compdef bot\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
SHELLS = ("bash", "zsh", "fish")


def register(commands: Commands) -> None:
    """Add this command."""
    text = "print a script that completes commands and options in a shell"
    added = add_command(commands, "completion", text, _complete)
    added.epilog = 'example, in ~/.bashrc: eval "$(bot completion bash)"'
    added.add_argument("shell", choices=SHELLS, help=", ".join(SHELLS))


def _complete(arguments: argparse.Namespace) -> Answer:
    from bot.cli.main import parser

    script = _for_fish(parser()) if arguments.shell == "fish" else _for_bash(parser())
    return Answer(parts=((ZSH if arguments.shell == "zsh" else "") + script,))


def _for_bash(parser: argparse.ArgumentParser) -> str:
    words = dict(_words(parser))
    paths = "|".join(f'"{path}"' for path in words if path)
    cases = "\n".join(f'    "{path}") word="{" ".join(told)}" ;;' for path, told in words.items())
    return BASH.format(paths=paths, cases=cases)


def _for_fish(parser: argparse.ArgumentParser) -> str:
    """Write a rule for each word: after a command's own words, and before those of its actions."""
    lines = []
    for path, told in _words(parser):
        seen = [f"__fish_seen_subcommand_from {name}" for name in path.split()]
        inner = " ".join(word for word in told if not word.startswith("-"))
        before = [f"not __fish_seen_subcommand_from {inner}"] if inner else []
        lines += [
            f"complete -c bot -n '{'; and '.join([*seen, *before]) or 'true'}' "
            + (f"-l {word[2:]} -d '{text}'" if word.startswith("--") else f"-f -a {word} -d '{text}'")
            for word, text in told.items()
        ]
    return "\n".join(lines)


def _words(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Yield for each path of commands the words that may follow it, with their help."""
    found: dict[str, str] = {}
    inside: dict[str, argparse.ArgumentParser] = {}
    # argparse has no public way to ask a parser what it takes.
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            inside = dict(action.choices)
            found |= {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
        elif action.choices is not None:
            found |= dict.fromkeys(map(str, action.choices), "")
        else:
            found |= {name: action.help or "" for name in action.option_strings if name.startswith("--")}
    yield path, {word: text.replace("'", "").replace("%%", "%") for word, text in found.items()}
    for name, one in inside.items():
        yield from _words(one, f"{path} {name}")
