"""`bot demo`: thirty simulated days in half a minute, run by the same code that runs live.

It uses a real HTTP server on loopback, the daemon's own cycle for every hourly slot, and a fresh
ledger; only the clock is simulated. The same demo gives the same trades, ids and equity.
"""

import shlex
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.adapters.clock import SteppedClock
from bot.adapters.sql.engine import parse_url
from bot.adapters.sql.lease import lock_file
from bot.adapters.sql.reads import Reader
from bot.app.cycle.runner import fire
from bot.app.cycle.schedule import slots_between
from bot.app.live.simulating import listen
from bot.app.live.wiring import live
from bot.app.review.reading import show, show_why
from bot.app.review.reports import Asked
from bot.app.settings.config import Config, load_config
from bot.app.settings.keys import ring_of
from bot.app.settings.shipped import starter_strategy
from bot.app.telling.answers import Answer, Table, count_of
from bot.app.telling.progress import tell_progress
from bot.domain.errors import ConfigError, UsageError
from bot.simulator.market import SEED, Market

START = datetime(2025, 3, 1, tzinfo=UTC)
SCHEDULE = "0 * * * *"
KEY = "tm-of-the-demo-alone"
OTHER = "bracket_fixed"
RUN = "levels_long"
OWN = "tidemark-demo.db"
CONFIG = """
[ledger]
url = "{ledger}"

[source]
base_url = "{base_url}"

[[run]]
name = "levels_long"
strategy = "levels_long"
cash = {cash}
schedule = "{schedule}"
"""
CASH = 10000
COUNTS = """
select count(*) as trades, count(case when not is_open and profit > 0 then 1 end) as won,
       count(case when not is_open and profit < 0 then 1 end) as lost,
       count(case when is_open then 1 end) as still_open
from v_trades
"""
QUESTIONS = (
    (
        "How did trades end, and what did each kind make?",
        """select exit_reason, count(*) as trades, round(sum(profit), 2) as profit,\
 round(avg(r_multiple), 2) as mean_r
from v_trades where not is_open group by exit_reason order by trades desc, exit_reason""",
    ),
    (
        "Which gate refused most, and how often was it the only one?",
        """select gate, candidates, failed, only_failure from v_gate_funnel
where failed > 0 order by failed desc, gate limit 6""",
    ),
    (
        "Do the books balance?",
        """select account, round(sum(amount), 6) as balance from v_postings\
 group by account order by account""",
    ),
)


def demo(given: str, days: int, port: int, program: str) -> Answer:
    """Run the demo on a fresh ledger and answer with the results; program: what to type for it.

    Raises UsageError for another database, ConfigError for a ledger that is not the demo's own.
    The base URL and the path are configuration: the same ones give the same hash chain.
    """
    began = time.perf_counter()
    url = parse_url(given)
    if url.drivername != "sqlite":
        mend = "give --ledger a path, tidemark-demo.db say"
        raise UsageError(f"the demo writes a SQLite file of its own: {mend}")
    ledger = Path(str(url.database))
    if ledger.exists() and ledger.name != OWN:
        reason = f"the demo replaces no ledger but {OWN}: name another file"
        raise ConfigError(f"{ledger} exists, and {reason}")
    play(ledger, days, port, anew=True)
    reader = Reader(str(ledger))
    took = f"{days} days in {time.perf_counter() - began:.1f} s"
    name = shlex.quote(str(ledger))
    steps = (
        ("why each candidate was bought or not", f"why --ledger {name}"),
        ("another strategy on the same answers", f"replay --recorded {name} --strategy {OTHER}"),
        ("a configuration of your own", "init my-bot"),
    )
    nexts = [f"next, {what}:\n  {program} {step}" for what, step in steps]
    end = ("", _sum_up(reader), took, "", *nexts, f"ledger: {ledger}")
    return Answer(parts=(*_describe(reader, days, program), *end))


def _sum_up(reader: Reader) -> str:
    """Sum the demo up in words."""
    (counts,) = reader.rows(COUNTS, {})
    last = _equity_of_days(reader)[-1]
    equity, benchmark = (float(str(last[name])) for name in ("equity", "benchmark"))
    gain, held = (end / CASH - 1 for end in (equity, benchmark))
    return (
        f"In words: {count_of(counts['trades'], 'trade')},"
        f" {counts['won']} won, {counts['lost']} lost, {counts['still_open']} still open;\n"
        f"equity {CASH} -> {equity:.2f} ({gain:+.2%}), holding the same tokens {held:+.2%}.\n"
        "Simulated prices: it proves nothing about real ones."
    )


def _clear(ledger: Path) -> None:
    """Remove the last demo's ledger; raises LeaseError while another process writes it."""
    if not ledger.is_file():
        return
    with lock_file(ledger):
        for suffix in ("", "-wal", "-shm"):
            ledger.with_name(ledger.name + suffix).unlink(missing_ok=True)


def play(ledger: Path, days: int, port: int = 0, *, anew: bool = False) -> Market:
    """Run the simulated days on a ledger and return the market; anew: on a ledger made anew."""
    market = Market(seed=SEED, start=START, days=days + 1)
    clock = SteppedClock(START)
    # Each reading steps the clock. The market sees whole seconds only, so that its prices do not
    # depend on how often the clock was read.
    server = listen(market, lambda: clock.at.replace(microsecond=0), port=port, key=KEY)
    with server, tempfile.TemporaryDirectory() as folder:
        if anew:
            _clear(ledger)
        _run(_config(Path(folder), ledger, server.base_url), clock, days)
    return market


def _config(folder: Path, ledger: Path, base_url: str) -> Config:
    (folder / "strategies").mkdir()
    (folder / "strategies" / "levels_long.toml").write_text(starter_strategy())
    path, url = folder / "config.toml", f"sqlite:///{ledger.resolve()}"
    path.write_text(CONFIG.format(ledger=url, base_url=base_url, schedule=SCHEDULE, cash=CASH))
    return load_config(path, {})


def _run(config: Config, clock: SteppedClock, days: int) -> None:
    slots = slots_between(SCHEDULE, START, START + timedelta(days=days))
    # With one request at a time, the stepped clock gives each answer the same instant in every run.
    with live(config, ring_of(KEY), clock, side_by_side=1) as opened:
        for number, slot in enumerate(slots):
            clock.set(slot + timedelta(seconds=2))
            for run in opened.runs:
                fire(run, slot)
            tell_progress("hourly cycles", number + 1, len(slots))


def _describe(reader: Reader, days: int, program: str) -> list[str | Table]:
    trades = show("trades", reader.name, Asked())
    parts: list[str | Table] = [
        f"Trades of {days} simulated days\n",
        *trades.parts,
        "\nEquity against buy-and-hold of the same tokens\n",
        Table(rows=_equity(reader, days)),
    ]
    for outcome in ("entered", "rejected"):
        for symbol, slot in _example(reader, outcome):
            parts.append(f"\n$ {program} why {symbol} --at {slot} --ledger {reader.name}\n")
            window = (None, datetime.fromisoformat(slot))
            parts += show_why(symbol, reader.name, window, RUN).parts
    for question, statement in QUESTIONS:
        parts.append(f"\n-- {question}\n{statement};\n")
        parts.append(Table(rows=reader.rows(statement, {})))
    return parts


def _example(reader: Reader, outcome: str) -> list[tuple[str, str]]:
    """Find one decision to show, as symbol and slot: the first with the fewest failed gates."""
    found = reader.rows(
        "select d.symbol, d.slot, sum(case when g.passed then 0 else 1 end) as failed"
        " from v_decisions d"
        " join v_gates g on g.run = d.run and g.slot = d.slot and g.symbol = d.symbol"
        " where d.outcome = :outcome group by d.symbol, d.slot order by failed, d.slot limit 1",
        {"outcome": outcome},
    )
    return [(str(row["symbol"]), str(row["slot"])) for row in found]


def _equity(reader: Reader, days: int) -> list[dict[str, object]]:
    """Sample the account every five days, beside buy-and-hold of all tokens in equal parts."""
    sampled = {f"{START + timedelta(days=day):%Y-%m-%d}" for day in range(0, days + 1, 5)}
    shown = ("slot", "equity", "drawdown", "open_positions")
    return [
        {**{name: row[name] for name in shown}, "buy_and_hold": row["benchmark"]}
        for row in _equity_of_days(reader)
        if row["day"] in sampled
    ]


def _equity_of_days(reader: Reader) -> list[dict[str, object]]:
    return reader.rows("select * from v_equity_daily where run = :run order by slot", {"run": RUN})
