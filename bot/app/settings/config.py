"""The configuration: config.toml, with overrides from the environment, as typed values.

The API key is read separately and never becomes part of these values. Nothing is ignored: an
unknown key, table or BOT_ variable is refused, and the error names the nearest known name.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bot.app.settings.keys import KeyRing, ring_of
from bot.app.settings.kinds import Cron, Number, Text, Word, near
from bot.app.settings.strategies import Strategy
from bot.app.settings.strategy_kinds import COUNT, NAME, PROVIDER_NAMES
from bot.app.settings.tables import Key, load_toml, members, read_tables, refuse
from bot.domain.errors import AccessError, ConfigError
from bot.domain.ids import TokenId, canonical
from bot.domain.instruments import Instrument
from bot.domain.numbers import CASH_MAX, MICRO, plain
from bot.engine.rules import Hooks

MASK = "***"
CREDENTIAL = "tidemark-api-key"
KEY_VARIABLE, KEY_FILE_VARIABLE = "BOT_API_KEY", "BOT_API_KEY_FILE"
PREFIX = "BOT_"
ENVIRONMENT = "environment"
KEY_BYTES_MAX = 4096
# A shorter one would mask ordinary words.
KEY_LENGTH_MIN = 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO

CRON = Cron()
LINE = Text(r"[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*", "text on one line")
ADDRESS = Text(r"https?://[^\s/?#]+[^\s?#]*", "address that begins with https:// or http://")

KEYS: tuple[Key, ...] = (
    Key(
        "ledger.url",
        LINE,
        "where cycles are kept: sqlite:///PATH or postgresql://USER@HOST/DB",
        "sqlite:///tidemark.db",
    ),
    Key("source.provider", Word(PROVIDER_NAMES), "who is asked", "tokenmetrics"),
    Key("source.base_url", ADDRESS, "where its API answers", "https://api.tokenmetrics.com/v2"),
    Key("source.api_version", Word(("v2", "v3")), "which version of its API that is", "v2"),
    Key(
        "source.key_file",
        LINE,
        "file with an API key on each line, the first that works; readable by its owner only",
    ),
    Key("source.proxy", ADDRESS, "the proxy to ask through; HTTPS_PROXY is not looked at"),
    Key("source.requests_per_minute", COUNT, "the plan's requests per minute", 20),
    Key("source.credits_per_month", COUNT, "the plan's API credits per month; absent: not compared"),
    Key("verify.parity", CRON, "when the daemon derives its runs again, a cron in UTC; absent: never"),
    Key(
        "verify.window_hours",
        COUNT,
        "how many hours back a run's first check goes; the rest go on from there",
        24,
    ),
)
RUN_KEYS: tuple[Key, ...] = (
    Key("run.name", NAME, "the run's name in the ledger; it has an account of its own", needed=True),
    Key("run.strategy", LINE, "strategies/NAME.toml beside this file, or the path of a file", needed=True),
    Key("run.cash", Number(above=0, at_most=CASH_MAX), "opening cash, quote currency", needed=True),
    Key("run.schedule", CRON, "its slots: minute hour day month weekday, UTC", needed=True),
)
LATER = ("source.refresh", "notify", "health")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """The provider and the plan's limits; credits_per_month: None when credits are not compared."""

    provider: str
    base_url: str
    api_version: str
    key_file: str | None
    requests_per_minute: int
    credits_per_month: int | None
    proxy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConfig:
    """The cron at which the daemon derives its runs again, and how many hours back at first."""

    parity: str | None
    window_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run; strategy: a name or a resolved path; schedule: a five-field cron in UTC."""

    name: str
    strategy: str
    cash: Decimal
    schedule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration as read; ledger: as written in the file, whose folder paths count from."""

    path: Path
    ledger: str
    source: SourceConfig
    runs: tuple[RunConfig, ...]
    verify: VerifyConfig

    @property
    def folder(self) -> Path:
        """The folder that relative paths count from."""
        return self.path.parent

    @property
    def ledger_url(self) -> str:
        """The ledger's URL, with a relative SQLite path resolved."""
        url = self.ledger if "://" in self.ledger else f"sqlite:///{self.ledger}"
        relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/:].*)", url)
        return f"{relative[1]}{self.folder / relative[2]}" if relative else url


def ledger_of(config_path: Path, ledger: str | None) -> str:
    """Choose the ledger's URL: the given one, or else the configuration's."""
    return ledger if ledger is not None else load_config(config_path).ledger_url


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file; a variable BOT_SECTION__KEY in environ overrides that key."""
    tables, _ = load_toml(path, "`bot init` writes one, --config names another")
    runs = tables.pop("run", None)
    _check_tables(path, tables)
    _override(tables, environ)
    values = read_tables(str(path), tables, KEYS, LATER)
    config = Config(
        path=path,
        ledger=values["ledger.url"],
        source=SourceConfig(**members(values, "source")),
        runs=_runs(path, runs),
        verify=VerifyConfig(**members(values, "verify")),
    )
    _check_address(path, config.source.base_url)
    version = re.search(r"/(v\d+)/?$", config.source.base_url)
    if version and version[1] != config.source.api_version:
        reason = "is not the version that source.base_url ends with: make them the same"
        written = f'"{config.source.api_version}" {reason}'
        raise refuse(str(path), "source.api_version", written)
    return config


def resolve_keys(config: Config, environ: Mapping[str, str] = os.environ) -> KeyRing:
    """Find the API keys in the environment, in a key file or among systemd's credentials.

    The order is BOT_API_KEY, BOT_API_KEY_FILE, source.key_file if the file exists, the credential.
    Raises AccessError when others may read a key or it is malformed, ConfigError without a key.
    """
    if KEY_VARIABLE in environ:
        return ring_of(*_keys(KEY_VARIABLE, environ[KEY_VARIABLE]))
    if KEY_FILE_VARIABLE in environ:
        return _ring(KEY_FILE_VARIABLE, Path(environ[KEY_FILE_VARIABLE]), shared=False)
    named = config.source.key_file
    place = f"{config.path}: source.key_file"
    if named is not None and (config.folder / named).exists():
        return _ring(place, config.folder / named, shared=False)
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        return _ring(CREDENTIAL, Path(credentials) / CREDENTIAL, shared=True)
    missing = "is not set" if named is None else "names no file"
    if named is not None and Path(named).suffix == ".key":  # anything else may be the key itself
        missing = f"names no file {config.folder / named}"
    mend = f"put the API key into that file (chmod 600), or set {KEY_VARIABLE}"
    raise ConfigError(f"{place} {missing}: {mend}")


def _ring(place: str, path: Path, *, shared: bool) -> KeyRing:
    return KeyRing(partial(_keys_in, place, path, shared=shared), path)


def effective(
    config: Config,
    strategies: Mapping[str, Strategy],
    universes: Mapping[str, Mapping[TokenId, Instrument]] = MappingProxyType({}),
) -> str:
    """Write the configuration in force as canonical JSON, without secrets; maps are by run."""
    runs = []
    for run in config.runs:
        strategy = strategies[run.name]
        names = ("universe", "bars", "rules")
        in_force: dict[str, object] = {name: getattr(strategy, name) for name in names}
        if strategy.provider is not None:
            in_force["provider"] = strategy.provider
        if run.name in universes:
            in_force["instruments"] = tuple(one for _, one in sorted(universes[run.name].items()))
        runs.append({**_plain(run), "strategy": strategy.name, **_plain(in_force)})
    source = {**_plain(config.source), "base_url": mask_url(config.source.base_url)}
    return canonical({"ledger": mask_url(config.ledger), "source": source, "runs": runs})


def mask_url(url: str) -> str:
    """Mask the passwords, tokens and keys in a URL."""
    hidden = re.sub(r"://([^/@:]*):[^/]*@", rf"://\1:{MASK}@", url)
    given = r"(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*"
    return re.sub(given, rf"\1{MASK}", hidden)


def _check_tables(path: Path, tables: Mapping[str, object]) -> None:
    """Refuse an unknown table, such as [[runs]], by its own name before its keys are checked."""
    known = {key.section for key in KEYS} | {"run"}
    for name in tables:
        if name not in known and name not in LATER:
            raise refuse(str(path), name, f"unknown table{near(name, known)}")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_address(path: Path, base_url: str) -> None:
    """Refuse an address to which the key would be sent in the clear."""
    host = urlsplit(base_url).hostname or ""
    if base_url.startswith("http:") and not _is_this_machine(host):
        why = f"would send the key to {host} in the clear: write https://"
        raise refuse(str(path), "source.base_url", why)


def _override(tables: dict[str, object], environ: Mapping[str, str]) -> None:
    """Replace the file's values with those of the variables BOT_SECTION__KEY."""
    variables = {f"{PREFIX}{key.section}__{key.name}".upper(): key for key in KEYS}
    # Sorted, so that of several wrong variables the same one is refused each time.
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in {KEY_VARIABLE, KEY_FILE_VARIABLE}:
            continue
        key = variables.get(name)
        if key is None:
            hint = near(name, (*variables, KEY_VARIABLE, KEY_FILE_VARIABLE))
            raise refuse(ENVIRONMENT, name, f"matches no key{hint or ': unset it'}")
        try:
            key.kind.read(environ[name])
        except ValueError as error:
            raise refuse(ENVIRONMENT, name, str(error)) from error
        table = tables.setdefault(key.section, {})
        if isinstance(table, dict):
            tables[key.section] = {**table, key.name: environ[name]}


def _runs(path: Path, raw: object) -> tuple[RunConfig, ...]:
    where = str(path)
    if not isinstance(raw, list) or not raw or not all(isinstance(table, dict) for table in raw):
        mend = "write at least one [[run]] with name, strategy, cash and schedule"
        raise refuse(where, "run", mend)
    found: list[RunConfig] = []
    for number, table in enumerate(raw, start=1):
        place = f"{where} [[run]] {number}"
        run = members(read_tables(place, {"run": table}, RUN_KEYS), "run")
        if run["cash"] != run["cash"].quantize(MICRO):
            raise refuse(place, "run.cash", "has more than 6 digits after the point")
        if run["name"] in {earlier.name for earlier in found}:
            reason = f'"{run["name"]}" is there twice: every run needs a name of its own'
            raise refuse(place, "run.name", reason)
        if "/" in run["strategy"] or run["strategy"].endswith(".toml"):
            run["strategy"] = str(path.parent / run["strategy"])
        found.append(RunConfig(**run))
    return tuple(found)


def _keys_in(place: str, path: Path, *, shared: bool) -> list[str]:
    """Read the API keys from a file; shared: skip the check of permissions, which systemd sets."""
    try:
        with path.open(encoding="ascii") as file:
            if not shared and os.fstat(file.fileno()).st_mode & OTHERS:
                raise AccessError(f"{place}: others may read the key file: chmod 600 it")
            return _keys(place, file.read(KEY_BYTES_MAX))
    except FileNotFoundError as error:
        mend = "create it, readable by its owner only"
        raise ConfigError(f"{place}: no such key file: {mend}") from error
    except (OSError, UnicodeDecodeError):
        # The cause is not chained, because it holds bytes of the file.
        reason = "cannot be read: it must be a text file of this user"
        raise AccessError(f"{place}: the key file {reason}") from None


def _keys(place: str, text: str) -> list[str]:
    """Read the keys of a text, one a line, fit for an HTTP header; the error repeats none."""
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys or not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise AccessError(f"{place} holds no API key: each line must be a word of printable characters")
    if any(len(key) < KEY_LENGTH_MIN for key in keys):
        raise AccessError(
            f"{place}: a key has fewer than {KEY_LENGTH_MIN} characters: it could not be kept out of"
            " logs; copy it whole"
        )
    return list(dict.fromkeys(keys))


def _plain(value: object) -> Any:
    """Convert a value for JSON: decimals to text, sets to sorted lists, hooks to their digest."""
    match value:
        case Hooks():
            return value.digest
        case Decimal():
            return plain(value)
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case frozenset():
            return sorted(_plain(item) for item in value)
        case tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
