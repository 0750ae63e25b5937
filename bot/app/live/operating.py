"""The requests of operators: stored in the ledger at once, applied by each run's next cycle.

They work whether or not a daemon holds the ledger. With a configuration only its runs are asked,
so that an abandoned run finds no old request when it is started again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from bot.adapters.clock import SystemClock
from bot.adapters.sql.beside import put
from bot.adapters.sql.reads import Reader
from bot.app.cycle.schedule import interval_of
from bot.app.settings.config import ledger_of, load_config
from bot.app.settings.kinds import near
from bot.app.telling.answers import Answer, Row
from bot.app.telling.printing import show_value
from bot.domain.errors import ConfigError
from bot.domain.events import Act, Request, request_id_of
from bot.domain.ids import RunName, TokenId
from bot.engine.breakers import ASKED, NOTHING_TO_CLOSE

# Only a replay has an identity, and a replay applies no requests.
LIVE_RUNS = "select name from runs where identity is null order by name"
TOKENS = """
select i.run, i.token_id, i.symbol, i.name from instruments i join runs r on r.name = i.run
where r.identity is null order by i.token_id, i.run
"""
OPEN = """
select run, token_id from v_open_positions
union select run, token_id from v_orders where role = 'entry' and state in ('planned', 'accepted')
"""


def operate(act: Act, named: str | None, config_path: Path, ledger: str | None, run: str | None) -> Answer:
    """Store a request to one run or all live ones; named: the symbol or token_id to close."""
    # The configuration's schedules hold for its own ledger only.
    config = load_config(config_path) if ledger is None else None
    schedules = {one.name: one.schedule for one in config.runs} if config else {}
    url = ledger_of(config_path, ledger)
    reader = Reader(url)
    only = frozenset(schedules) or None
    asked = requests_of(reader, act, named, run, SystemClock().now(), only)
    put(url, asked)
    held = {(str(row["run"]), row["token_id"]) for row in reader.rows(OPEN, {})}
    answer = []
    for one in asked:
        is_idle = named is not None and (one.run, one.token_id) not in held
        answer.append(_answer(one, schedules, is_idle=is_idle))
    return Answer(payload=answer, parts=tuple(_describe(row, named) for row in answer))


def requests_of(
    reader: Reader,
    act: Act,
    named: str | None,
    run: str | None,
    asked_at: datetime,
    only: frozenset[str] | None = None,
) -> list[Request]:
    """Build a request for each run concerned; raises ConfigError if none, or no one token, fits."""
    live = [str(row["name"]) for row in reader.rows(LIVE_RUNS, {})]
    runs = [name for name in live if only is None or name in only]
    if run is not None and run not in runs:
        has = near(run, runs) or f"; it has {', '.join(runs) or 'none'}"
        raise ConfigError(f"no live run {run} in the ledger {reader.name}{has}")
    if not runs:
        mend = "`bot run` starts those of a configuration"
        raise ConfigError(f"no live run in the ledger {reader.name}: {mend}")
    concerned = [run] if run is not None else runs
    token_id = None
    if named is not None:
        known = [row for row in reader.rows(TOKENS, {}) if row["run"] in concerned]
        token_id, concerned = _token(named, known)
    return [
        Request(
            request_id=request_id_of(RunName(name), act, token_id, asked_at),
            run=RunName(name),
            act=act,
            token_id=token_id,
            asked_at=asked_at,
        )
        for name in concerned
    ]


def _token(named: str, known: Sequence[Row]) -> tuple[TokenId, list[str]]:
    """Find one token by its symbol or token_id, and the runs that know it."""
    found: list[Row] = []
    # A symbol as written comes before one in upper case, and both before a token_id.
    for name, wanted in (("symbol", named), ("symbol", named.upper()), ("token_id", named)):
        found = found or [row for row in known if str(row[name]) == wanted]
    names = {int(str(row["token_id"])): str(row["name"]) for row in found}
    if not names:
        symbols = sorted({str(row["symbol"]) for row in known})
        hint = near(named, symbols) or f"; they trade {', '.join(symbols)}"
        raise ConfigError(f"no token {named} in these runs{hint}")
    if len(names) > 1:
        choices = ", ".join(f"{token_id} ({name})" for token_id, name in names.items())
        raise ConfigError(f"{named} is more than one token: {choices}; write the token_id")
    return TokenId(next(iter(names))), [str(row["run"]) for row in found]


def _answer(request: Request, schedules: Mapping[str, str], *, is_idle: bool) -> Row:
    """Describe a request as a row; slot: when it applies, if known; is_idle: nothing is held."""
    schedule, asked_at = schedules.get(request.run), request.asked_at
    return {
        "run": request.run,
        "act": request.act.value,
        "token_id": request.token_id,
        "request_id": request.request_id,
        "asked_at": asked_at,
        "slot": None if schedule is None else asked_at + interval_of(schedule, asked_at),
        "notice": NOTHING_TO_CLOSE if is_idle else ASKED[request.act],
    }


def _describe(row: Row, named: str | None) -> str:
    what = str(row["act"]) if named is None else f"{row['act']} {named}"
    when = "its next cycle"
    if row["slot"] is not None:
        when = f"its next slot, {show_value(row['slot'])[:16]}Z"
    return f"{row['run']}: {what} at {when}: {str(row['notice']).partition(': ')[2]}"
