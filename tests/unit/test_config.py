"""config.toml, its environment and the key: nothing is ignored, nothing secret is shown, every refusal is one line."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path, PosixPath

import pytest

from bot.app.settings import shipped
from bot.app.settings.config import (
    KEYS,
    RUN_KEYS,
    Config,
    RunConfig,
    SourceConfig,
    VerifyConfig,
    effective,
    load_config,
    mask_url,
    resolve_keys,
)
from bot.app.settings.keys import ring_of
from bot.app.settings.shipped import starter_config, starter_strategy
from bot.app.settings.strategies import load_strategy
from bot.domain.errors import AccessError, BotError, ConfigError
from bot.domain.ids import hash_text

ROOT = Path(__file__).resolve().parents[2]
RUN = '[[run]]\nname = "one"\nstrategy = "levels_long"\ncash = 10000\nschedule = "2 * * * *"\n'
KEY = "tm-3f9a-not-a-real-key"


def read(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration of this text."""
    (folder / "config.toml").write_text(text)
    return load_config(folder / "config.toml", environ or {})


def refusal(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the one line that refuses a configuration of this text."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_starter_is_the_example_and_is_right(tmp_path: Path) -> None:
    """What `bot init` writes are the files in the repository, and they read without a change."""
    assert starter_config() == (ROOT / "config.example.toml").read_text()
    assert starter_strategy() == (ROOT / "strategies" / "levels_long.toml").read_text()
    config = read(tmp_path, starter_config())
    (run,) = config.runs
    assert (run.name, run.strategy, run.cash, run.schedule) == (
        "levels_long",
        "levels_long",
        Decimal(10000),
        "2 * * * *",
    )
    assert config.source.base_url == "https://api.tokenmetrics.com/v2"


def test_the_example_has_every_key() -> None:
    """The example shows each key that a configuration may have, behind a # where most need none."""
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", (ROOT / "config.example.toml").read_text())
    document = tomllib.loads(text)
    (run,) = document.pop("run")
    shown = {f"{table}.{name}" for table, names in {**document, "run": run}.items() for name in names}
    assert shown == {key.path for key in (*KEYS, *RUN_KEYS)}


@pytest.mark.parametrize(
    ("table", "kind"), [("source", SourceConfig), ("verify", VerifyConfig), ("run", RunConfig)]
)
def test_every_field_of_the_configuration_is_a_key(table: str, kind: type) -> None:
    """What the program reads can be written, and what can be written is read."""
    assert {field.name for field in fields(kind)} == {key.name for key in (*KEYS, *RUN_KEYS) if key.section == table}


def test_the_starter_is_found_inside_a_wheel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout beside the package the copies inside it are read."""
    package = tmp_path / "bot"
    (package / "app").mkdir(parents=True)
    (package / "_strategies").mkdir()
    (package / "config.example.toml").write_text("inside")
    (package / "_strategies" / "levels_long.toml").write_text("inside too")
    monkeypatch.setattr(shipped, "__file__", str(package / "app" / "settings" / "shipped.py"))
    assert (starter_config(), starter_strategy()) == ("inside", "inside too")


def test_defaults_hold_where_nothing_is_written(tmp_path: Path) -> None:
    """A run alone is a configuration."""
    config = read(tmp_path, RUN)
    assert config.ledger == "sqlite:///tidemark.db"
    assert config.source.api_version == "v2"
    assert (config.source.requests_per_minute, config.source.credits_per_month) == (20, None)
    assert config.source.key_file is None


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("sqlite:///tidemark.db", "sqlite:///{}/tidemark.db"),
        ("books/tidemark.db", "sqlite:///{}/books/tidemark.db"),
        ("sqlite:////var/tidemark.db", "sqlite:////var/tidemark.db"),
        ("/var/tidemark.db", "sqlite:////var/tidemark.db"),
        ("postgresql://me@db/books", "postgresql://me@db/books"),
    ],
)
def test_a_relative_ledger_lies_beside_the_configuration(tmp_path: Path, written: str, resolved: str) -> None:
    """Relative paths count from the file's folder, wherever the command is started."""
    config = read(tmp_path, f'[ledger]\nurl = "{written}"\n{RUN}')
    assert config.ledger_url == resolved.format(tmp_path)


def test_a_strategy_given_as_a_path_lies_beside_the_configuration(tmp_path: Path) -> None:
    """A path of a strategy counts from the file's folder, a name stays a name."""
    text = RUN + RUN.replace('"one"', '"two"').replace('"levels_long"', '"mine/x.toml"')
    assert [run.strategy for run in read(tmp_path, text).runs] == ["levels_long", str(tmp_path / "mine/x.toml")]


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """BOT_SECTION__KEY wins over the file, and adds what the file does not say."""
    environ = {"BOT_LEDGER__URL": "sqlite:////x.db", "BOT_SOURCE__REQUESTS_PER_MINUTE": "7", "HOME": "/", "BOTTLE": "1"}
    config = read(tmp_path, '[ledger]\nurl = "sqlite:///y.db"\n' + RUN, environ)
    assert (config.ledger_url, config.source.requests_per_minute) == ("sqlite:////x.db", 7)


def test_this_process_environment_is_the_one_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration loaded for a command is overridden by the command's environment."""
    (tmp_path / "config.toml").write_text(RUN)
    monkeypatch.setenv("BOT_LEDGER__URL", "sqlite:////here.db")
    assert load_config(tmp_path / "config.toml").ledger_url == "sqlite:////here.db"


def test_a_variable_does_not_hide_a_broken_table(tmp_path: Path) -> None:
    """What is no table stays wrong, whatever the environment says of its keys."""
    assert ": ledger: " in refusal(tmp_path, "ledger = 3\n" + RUN, {"BOT_LEDGER__URL": "x.db"})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BOT_LEGDER__URL", "x", "did you mean `BOT_LEDGER__URL`?"),
        ("BOT_SOURCE__BASEURL", "x", "did you mean `BOT_SOURCE__BASE_URL`?"),
        ("BOT_API_KEYS", KEY, "did you mean `BOT_API_KEY`?"),
        ("BOT_", KEY, "matches no key"),
        ("BOT_SOURCE__REQUESTS_PER_MINUTE", "many", "'many' is no whole number"),
        ("BOT_SOURCE__REQUESTS_PER_MINUTE", "0", "not at least 1"),
    ],
)
def test_a_variable_that_matches_no_key_is_refused(tmp_path: Path, name: str, value: str, reason: str) -> None:
    """A typing error in the environment is named, and a value that may be a secret is not repeated."""
    line = refusal(tmp_path, RUN, {name: value})
    assert line.startswith(f"environment: {name}: ")
    assert reason in line
    assert KEY not in line


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("[ledgr]\n" + RUN, "ledgr", "did you mean `ledger`?"),
        (RUN.replace("[[run]]", "[[runs]]"), "runs", "did you mean `run`?"),
        ('[ledger]\nurls = "x"\n' + RUN, "ledger.urls", "did you mean `url`?"),
        (RUN.replace("cash", "csh"), "run.csh", "did you mean `cash`?"),
        ("ledger = 3\n" + RUN, "ledger", "write [ledger]"),
        ("[ledger]\nurl = 3\n" + RUN, "ledger.url", "no text"),
        ('[ledger]\nurl = ""\n' + RUN, "ledger.url", "no text"),
        (f'[source]\napi_key = "{KEY}"\n' + RUN, "source.api_key", "comes from BOT_API_KEY"),
        ('[source]\nprovider = "tokenmetric"\n' + RUN, "source.provider", "did you mean `tokenmetrics`?"),
        ('[source]\nbase_url = "ftp://x"\n' + RUN, "source.base_url", "https://"),
        ('[source]\napi_version = "v3"\n' + RUN, "source.api_version", "make them the same"),
        ("[source]\ncredits_per_month = 0\n" + RUN, "source.credits_per_month", "not at least 1"),
        ("[source]\ncredits_per_month = true\n" + RUN, "source.credits_per_month", "no whole number"),
        ("[source.refresh]\nlevels = 24\n" + RUN, "source.refresh", "not available in this version"),
        ("[health]\nport = 1\n" + RUN, "health", "not available in this version"),
        ("", "run", "at least one [[run]]"),
        ("run = []\n", "run", "at least one [[run]]"),
        (RUN.replace("[[run]]", "[run]"), "run", "at least one [[run]]"),
        (RUN + RUN, "run.name", "twice"),
        (RUN.replace('"one"', '""'), "run.name", "no name"),
        (RUN.replace("10000", "0"), "run.cash", "not above 0"),
        (RUN.replace("10000", "-5"), "run.cash", "not above 0"),
        (RUN.replace("10000", "nan"), "run.cash", "no finite number"),
        (RUN.replace("10000", "true"), "run.cash", "no number"),
        (RUN.replace("10000", "1.0000001"), "run.cash", "more than 6 digits"),
        (RUN.replace("2 * * * *", "2 * * *"), "run.schedule", "five fields"),
        (RUN.replace("2 * * * *", "2 * * * * *"), "run.schedule", "five fields"),
        (RUN.replace("2 * * * *", "hourly!"), "run.schedule", "'hourly!' is no cron of five fields"),
        (RUN.replace("2 * * * *", "61 * * * *"), "run.schedule", "'61 * * * *': minute 61 is out of range: write 0 to"),
        (RUN.replace("2 * * * *", "0 0 30 2 *"), "run.schedule", "day 30 never comes in month 2: choose another"),
        (RUN.replace("2 * * * *", "0 0 31 apr,jun *"), "run.schedule", "day 31 never comes in month 4,6"),
        (RUN.replace("2 * * * *", "30 0 * * * *"), "run.schedule", 'it has 6: write "0 * * * *"'),
        (RUN.replace("2 * * * *", "@hourly"), "run.schedule", "'@hourly' is no cron"),
        (RUN.replace("2 * * * *", "@hourly"), "run.schedule", 'write "0 * * * *"'),
        (RUN.replace("2 * * * *", "nightly"), "run.schedule", 'write "0 3 * * *"'),
        (RUN.replace("2 * * * *", "5-3 * * * *"), "run.schedule", "minute 5-3 goes backwards: swap its ends"),
        (RUN.replace("2 * * * *", "*/70 * * * *"), "run.schedule", "minute */70 has no such step: write 1 to 59"),
        (RUN.replace("2 * * * *", "x * * * *"), "run.schedule", "minute x is none of"),
        (RUN.replace("2 * * * *", "0 0 1 * 1"), "run.schedule", "write * for one of them"),
        (RUN.replace('"2 * * * *"', "2"), "run.schedule", '2 is no text: write "0 * * * *", say'),
        (RUN.replace("10000", "'lots'"), "run.cash", "'lots' is no number: write 10, say"),
        (RUN.replace("10000", "'10,000'"), "run.cash", "'10,000' has a comma: write 10000 or 10.000"),
        (RUN.replace("10000", "'10000,5'"), "run.cash", "write 10000.5, with a decimal point"),
        (RUN.replace('"one"', '"tränd"'), "run.name", "'tränd' is no name of up to 64 letters a-z, digits and _ . -: "),
        (RUN.replace('"one"', '"tränd"'), "run.name", '"levels_long", say'),
        (RUN.replace('strategy = "levels_long"\n', ""), "run.strategy", "missing: add"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, path: str, reason: str) -> None:
    """Unknown names, wrong types, NaN, signs and shapes end in one line with file, key and mend, and show no secret."""
    line = refusal(tmp_path, text)
    assert line.startswith(f"{tmp_path / 'config.toml'}")
    assert f": {path}: " in line
    assert reason in line
    assert KEY not in line


@pytest.mark.parametrize(("text", "line"), [("cash = 2\n", 6), ("cash = 2", 6), ("cash = 2\nx = 1\n", 6)])
def test_a_key_that_is_there_twice_is_named(tmp_path: Path, text: str, line: int) -> None:
    """U13: the line and the key, not the parser's words."""
    assert len(RUN.splitlines()) == line - 1
    told = refusal(tmp_path, RUN + text)
    assert told.endswith(f"not TOML: line {line}: the key cash is there twice: keep one of the two")


def test_a_missing_configuration_names_the_command_that_writes_one(tmp_path: Path) -> None:
    """No file is no default: the mend is `bot init`."""
    with pytest.raises(ConfigError, match=r"config.toml: no such file; `bot init`") as caught:
        load_config(tmp_path / "config.toml", {})
    assert caught.value.exit_code == 78


class _Closed(PosixPath):
    """A path whose file this user may not open; a test that runs as root has no other."""

    def read_bytes(self) -> bytes:
        """Refuse as the system would."""
        raise PermissionError(13, "Permission denied")


def test_a_configuration_that_may_not_be_read_ends_in_77() -> None:
    """Missing permission is told from a missing file."""
    with pytest.raises(AccessError, match="may not be read") as caught:
        load_config(_Closed("config.toml"), {})
    assert caught.value.exit_code == 77


def key_file(folder: Path, name: str = "my.key", content: str = KEY + "\n", mode: int = 0o600) -> Path:
    """Write a key file."""
    path = folder / name
    path.write_text(content)
    path.chmod(mode)
    return path


def test_the_key_is_found_in_the_order_promised(tmp_path: Path) -> None:
    """Environment, the environment's file, key_file, systemd's credentials: the first that is there counts."""
    config = read(tmp_path, '[source]\nkey_file = "my.key"\n' + RUN)
    (tmp_path / "credentials").mkdir()
    key_file(tmp_path / "credentials", "tidemark-api-key", "of-systemd-itself", 0o440)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert resolve_keys(config, environ).current == "of-systemd-itself"
    key_file(tmp_path, content="of-the-key-file-\n")
    assert resolve_keys(config, environ).current == "of-the-key-file-"
    environ["BOT_API_KEY_FILE"] = str(key_file(tmp_path, "other.key", "of-the-variable-"))
    assert resolve_keys(config, environ).current == "of-the-variable-"
    environ["BOT_API_KEY"] = KEY
    assert resolve_keys(config, environ).current == KEY


def test_the_key_comes_from_this_process_environment_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command needs to say nothing to use BOT_API_KEY."""
    monkeypatch.setenv("BOT_API_KEY", KEY)
    assert resolve_keys(read(tmp_path, RUN)).current == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A key file open to group or world ends in 77 with the mend, and without the key."""
    key_file(tmp_path, mode=mode)
    with pytest.raises(AccessError, match="chmod 600") as caught:
        resolve_keys(read(tmp_path, '[source]\nkey_file = "my.key"\n' + RUN), {})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n", "two words", "key\x00", "\xe9t\xe9"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    """An empty, broken or multi-word key ends in 77, and nothing of it is repeated."""
    key_file(tmp_path, content=content)
    with pytest.raises(AccessError) as caught:
        resolve_keys(read(tmp_path, '[source]\nkey_file = "my.key"\n' + RUN), {})
    assert not content.strip() or content not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_key_says_where_one_may_lie(tmp_path: Path) -> None:
    """No key anywhere ends in 78; a key written in the place of the file's name is not repeated."""
    with pytest.raises(ConfigError, match="BOT_API_KEY"):
        resolve_keys(read(tmp_path, RUN), {})
    with pytest.raises(ConfigError, match="names no file") as caught:
        resolve_keys(read(tmp_path, f'[source]\nkey_file = "{KEY}"\n' + RUN), {})
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigError, match=f"names no file {tmp_path / 'my.key'}: put"):
        resolve_keys(read(tmp_path, '[source]\nkey_file = "my.key"\n' + RUN), {})
    with pytest.raises(BotError, match="BOT_API_KEY_FILE"):
        resolve_keys(read(tmp_path, RUN), {"BOT_API_KEY_FILE": str(tmp_path / "nowhere")})
    with pytest.raises(AccessError, match="BOT_API_KEY_FILE"):
        resolve_keys(read(tmp_path, RUN), {"BOT_API_KEY_FILE": str(tmp_path)})


def test_a_secret_never_shows_itself() -> None:
    """Printing, formatting or nesting a secret gives stars."""
    secret = ring_of(KEY)
    assert {str(secret), repr(secret), f"{secret}", str([secret])} == {"***", "[***]"}


def test_the_effective_configuration_is_canonical_and_holds_no_password(tmp_path: Path) -> None:
    """What is stored with each cycle names every rule in force and hides passwords; its hash follows what decides."""
    text = f'[ledger]\nurl = "postgresql://me:{KEY}@db/books?sslpassword={KEY}&a=1"\n{RUN}'
    strategies = {"one": load_strategy("levels_long", ROOT / "strategies")}
    stored = effective(read(tmp_path, text), strategies)
    assert KEY not in stored
    assert json.loads(stored)["ledger"] == "postgresql://me:***@db/books?sslpassword=***&a=1"
    (run,) = json.loads(stored)["runs"]
    assert run["rules"]["stop"]["buffer_fraction"] == "0.003"
    assert run["universe"][:3] == ["BTC", "ETH", "SOL"]
    dearer = effective(read(tmp_path, text.replace("10000", "20000")), strategies)
    assert hash_text(stored) != hash_text(dearer)
    assert hash_text(stored) == hash_text(effective(read(tmp_path, text.replace("10000", '"10000.0"')), strategies))


def test_the_hash_does_not_depend_on_where_the_configuration_lies(tmp_path: Path) -> None:
    """The same configuration in two folders has one hash."""
    strategies = {"one": load_strategy("levels_long", ROOT / "strategies")}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert effective(read(tmp_path / "a", RUN), strategies) == effective(read(tmp_path / "b", RUN), strategies)


def test_an_address_without_a_password_stays_as_it_is() -> None:
    """Masking touches nothing but passwords."""
    assert mask_url("https://api.tokenmetrics.com:443/v2") == "https://api.tokenmetrics.com:443/v2"
    assert os.sep in mask_url("sqlite:///tidemark.db")
