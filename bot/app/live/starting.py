"""`bot init` and `bot check`: write a first configuration, and check everything before a start."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from bot.adapters.clock import SystemClock
from bot.adapters.sql.ledger import reading
from bot.adapters.sql.migrate import outlook
from bot.adapters.sql.tape import SqlTape
from bot.app.cycle.schedule import interval_of, slots_between
from bot.app.live.wiring import Untaped, connect_all, resolve, run_of, strategies_of
from bot.app.settings import shipped
from bot.app.settings.config import Config, load_config, resolve_keys
from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategies import Strategy
from bot.app.telling.answers import Answer, Row, Table
from bot.app.telling.printing import show_value
from bot.domain.errors import AccessError, ConfigError, StorageError, UpstreamError
from bot.domain.ids import RunName, TokenId
from bot.domain.instants import DAY
from bot.domain.instruments import Instrument
from bot.engine.rules import Rules
from bot.ports import Listing, Probe

Universes = Mapping[str, Mapping[TokenId, Instrument]]


def list_strategies() -> Answer:
    """Answer with the shipped strategies, each with its own first line."""
    files = shipped.shipped_strategies().items()
    found = [{"strategy": name, "what": shipped.describe_strategy(path)} for name, path in files]
    return Answer(payload=found, parts=(Table(rows=found),))


def write_starter(folder: Path, name: str, program: str) -> Answer:
    """Write config.toml and a shipped strategy; raises ConfigError where config.toml exists.

    program: what to type for it.
    """
    config, place = folder / "config.toml", folder / "strategies"
    first = shipped.shipped_strategy(name)
    if config.exists():
        mend = "move it away or choose another folder"
        raise ConfigError(f"{config} exists; `bot init` overwrites nothing: {mend}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        # The configuration comes last: if writing fails before it, `bot init` can run again.
        texts = {
            place / path.name: path.read_text(encoding="utf-8")
            for path in (first, first.with_suffix(".py"))  # its hooks, if it has any
            if path.exists()
        }
        texts[config] = shipped.starter_config(name)
        done = [_write_new(path, text) for path, text in texts.items()]
    except OSError as error:
        kind = AccessError if isinstance(error, PermissionError) else StorageError
        raise kind(f"{folder}: cannot write there ({error.strerror}): name another folder") from None
    step = f"put your key into tokenmetrics.key (chmod 600), then `{program} check`"
    return Answer(payload={"done": done, "next": step}, parts=(*done, f"next: {step}"))


def _write_new(path: Path, text: str) -> str:
    """Write a file unless it exists, and say which of the two happened."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"kept {path}"
    return f"wrote {path}"


def check(config_path: Path) -> Answer:
    """Check configuration, strategies, schedules, ledger, key and universe; tell a day's cost."""
    config = load_config(config_path)
    strategies = strategies_of(config)
    keys = resolve_keys(config)
    clock = SystemClock()
    now = clock.now()
    ledger = outlook(config.ledger_url)
    with reading(config.ledger_url) as book:
        tape = Untaped(SqlTape(book.engine) if book else None)
        with connect_all(config, keys, clock, strategies.values(), tape) as sources:
            main = config.source.provider
            pinned = {name: book.instruments(RunName(name)) if book else () for name in strategies}
            universes = {
                name: resolve(sources, main, one, pinned[name]) for name, one in strategies.items()
            }
            if book:
                for run in config.runs:
                    book.check_run(run_of(run, strategies[run.name], now), universes[run.name])
            probes, listed = sources[main].probe()
    runs = _list_runs(config, universes, now)
    answer: Row = {
        "config": str(config.path),
        "ledger": ledger.value,
        "runs": runs,
        **_price(config, strategies, universes, now),
        "parity": config.verify.parity,
        "parity_window_hours": config.verify.window_hours,
        "next_parity": _next(config.verify.parity, now),
        "feeds": [one._asdict() for one in probes],
        "tokens": [one._asdict() for one in listed],
    }
    plan, monthly = answer["credits_of_plan"], answer["credits_per_month"]
    costly = plan is not None and monthly > plan
    notes = ["bot: this schedule costs more credits than the plan has"] if costly else []
    notes += dict.fromkeys(line for strategy in strategies.values() for line in strategy.remarks)
    return Answer(
        payload=answer,
        parts=(_describe(answer, runs), Table(rows=answer["tokens"]), Table(rows=answer["feeds"])),
        notes=(*notes, *_remark(probes, listed, universes)),
        exit_code=UpstreamError.exit_code if any(one.error for one in probes) else 0,
    )


def _list_runs(config: Config, universes: Universes, now: datetime) -> list[Row]:
    """List the runs, each with its next slot and its tokens."""
    return [
        {
            "run": run.name,
            "strategy": run.strategy,
            "cash": run.cash,
            "schedule": run.schedule,
            "next_slot": _next(run.schedule, now),
            "tokens": {str(one.symbol): token_id for token_id, one in universes[run.name].items()},
        }
        for run in config.runs
    ]


def _price(
    config: Config, strategies: Mapping[str, Strategy], universes: Universes, now: datetime
) -> Row:
    """Price the schedules in API credits."""
    slots = {slot for run in config.runs for slot in slots_between(run.schedule, now, now + DAY)}
    tokens = {token_id for universe in universes.values() for token_id in universe}
    rules = [strategy.rules for strategy in strategies.values()]
    daily = credits_per_day(config, rules, len(tokens), len(slots))
    plan = config.source.credits_per_month
    return {"credits_per_day": daily, "credits_per_month": daily * 31, "credits_of_plan": plan}


def _remark(
    probes: Iterable[Probe], listed: Iterable[Listing], universes: Universes
) -> Iterator[str]:
    """Yield a line for each feed without rows, and for each token that was renamed."""
    for feed, rows, error in probes:
        if error:
            yield f"bot: failed: {feed}: {error}"
        elif not rows:
            yield f"bot: {feed}: no row for these tokens: does the plan include it?"
    names = {one.token_id: one.symbol for one in listed}
    known = {token_id: one for universe in universes.values() for token_id, one in universe.items()}
    for token_id, one in sorted(known.items()):
        named = names.get(token_id, one.symbol)
        if named.upper() != one.symbol:
            changed = f"token {token_id} is {one.symbol} here, {named} there"
            yield f"bot: identity_changed: {changed}"


def _next(cron: str | None, now: datetime) -> datetime | None:
    """Find the next slot of a schedule; None without a schedule."""
    return None if cron is None else now + interval_of(cron, now)


def credits_per_day(config: Config, all_rules: Sequence[Rules], tokens: int, slots: int) -> int:
    """Estimate the API credits of a day."""
    provider = PROVIDERS[config.source.provider]
    feeds = feeds_of(provider, all_rules, all_rules)
    return sum(provider.credits(feed, tokens, slots) for feed in feeds)


def _describe(answer: Row, runs: Sequence[Row]) -> str:
    lines = [f"configuration {answer['config']} is right; ledger: {answer['ledger']}"]
    for run in runs:
        names = ", ".join(f"{symbol} {token}" for symbol, token in run["tokens"].items())
        given = f"strategy {run['strategy']}, cash {run['cash']}, schedule {run['schedule']} (UTC)"
        lines.append(f"run {run['run']}: {given}")
        lines.append(f"  next slot {show_value(run['next_slot'])}, tokens {names}")
    if answer["parity"] is None:
        lines.append("parity: not checked by the daemon (verify.parity)")
    else:
        hours, when = answer["parity_window_hours"], show_value(answer["next_parity"])
        first = f"the first time {hours} hours"
        lines.append(f"parity: derived again at {answer['parity']} (UTC), next {when}; {first}")
    plan = answer["credits_of_plan"]
    of_plan = f", of {plan} in the plan" if plan else ""
    daily, monthly = answer["credits_per_day"], answer["credits_per_month"]
    lines.append(f"about {daily} API credits a day, {monthly} a month{of_plan}")
    return "\n".join(lines)
