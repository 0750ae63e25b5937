"""`make faults`: every fault of the wire against every feed, and mutated answers through the parser.

Prints a line for each failure that repeats it, and writes all results to one file.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bot.adapters.tokenmetrics.fields import read_answer, rows_of
from bot.adapters.tokenmetrics.parse import Question, parse
from bot.domain.errors import BotError
from bot.domain.ids import TokenId
from tests.faults.matrix import FAULTS, HARMLESS, NOW, ROWS
from tests.faults.stub_api import FEEDS, HOUR, NAMES, Answer, Row, StubApi
from tests.faults.stub_runs import START, Life, held, rows, stub

SLOTS = [START + number * HOUR for number in range(6)]
SICK = 3
MUTATIONS = {"ci": 2000, "night": 200_000}
GATED = {"trader_grade_min__=__60": "trader_grade_min = 60\nmarket_cap_min = 1"}


@dataclass(frozen=True)
class Case:
    """A fault of a feed; the seed chooses the command, the position and the field."""

    fault: str
    feed: str
    seed: int

    def __str__(self) -> str:
        """Name the case as the command line takes it."""
        return f"{self.fault}:{self.feed}:{self.seed}"


def make_life(folder: str, api: StubApi) -> Life:
    """Make a daemon whose strategy needs every feed of the stub."""
    life = Life(Path(folder), api)
    life.write((*NAMES.values(),), **GATED)
    return life


def healthy() -> list[str]:
    """List what is held after six slots without a fault."""
    with tempfile.TemporaryDirectory() as folder:
        life = make_life(folder, stub())
        life.run(*SLOTS)
        return held(life.ledger)


def break_api(api: StubApi, case: Case, struck: list[str]) -> None:
    """Let a feed of the API fail for the first three slots: all its queries, the first, or the last of a slot."""
    chance = random.Random(case.seed)
    position = chance.choice(["all", "first", "even"])
    counts: dict[object, int] = {}

    def hits(feed: str) -> bool:
        slot = api.clock.at.replace(minute=0, second=0, microsecond=0)
        if feed != case.feed or slot >= SLOTS[SICK]:
            return False
        counts[slot] = counts.get(slot, -1) + 1
        # An attempt that is repeated meets the same fault where all of a feed fails.
        return position == "all" or (counts[slot] < 3 if position == "first" else counts[slot] % 2 == 0)

    if case.fault in FAULTS:
        fault = FAULTS[case.fault]

        def answer(feed: str, _params: dict[str, str], made: Answer) -> Answer | Exception:
            if not hits(feed):
                return made
            struck.append(feed)
            return fault(made)

        api.answer = answer
        return
    change = ROWS[case.fault]

    def alter(feed: str, made: list[Row]) -> list[Row]:
        if not hits(feed) or not made:
            return made
        struck.append(feed)
        return change(made, random.Random(case.seed))

    api.rows = alter


def judge(case: Case, expected: Sequence[str]) -> list[str]:
    """Run a case, and say what of it is wrong."""
    struck: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        api = stub()
        life = make_life(folder, api)
        break_api(api, case, struck)
        as_daemon = random.Random(case.seed).random() < 0.5
        try:
            live_through(life, as_daemon=as_daemon)
        except Exception:  # noqa: BLE001 - whatever leaves the daemon is what is looked for
            return [traceback.format_exc(limit=-2)]
        return list(find_wrong(case, life, expected, struck))


def live_through(life: Life, *, as_daemon: bool) -> None:
    """Run all slots in one process or one each; a start that fails is tried again at the next slot."""
    left = list(SLOTS)
    while left:
        try:
            life.run(*(left if as_daemon else left[:1]))
        except BotError as error:
            life.errors.append(error)
            left = left[1:]
        else:
            left = [] if as_daemon else left[1:]


def find_wrong(case: Case, life: Life, expected: Sequence[str], struck: Sequence[str]) -> Iterator[str]:
    """Yield each promise that the ledger of a case breaks."""
    ledger = life.ledger
    entered = {str(symbol) for (symbol,) in rows(ledger, "select distinct symbol from v_trades")}
    if strangers := entered - set(expected):
        yield f"bought what is not bought without the fault: {sorted(strangers)}"
    (most,) = rows(ledger, "select max(attempts) from v_api_calls")[0]
    if int(str(most)) > 3:
        yield f"{most} attempts of one call"
    told = "select count(*) from v_api_calls where error is not null"
    refused = "select count(*) from v_refusals"
    reasons = sum(int(str(rows(ledger, asked)[0][0])) for asked in (told, refused))
    if struck and not reasons and case.fault not in HARMLESS:
        yield "no stored reason"
    explained = reasons or rows(ledger, "select count(*) from v_holes") != [(0,)]
    if held(ledger) != expected and not explained and case.fault not in HARMLESS:
        yield f"holds {held(ledger)}, and nothing says why"
    (last,) = rows(ledger, "select max(slot) from v_cycles where state in ('committed', 'caught_up')")[0]
    if last is None or not str(last).startswith(f"{SLOTS[-1]:%Y-%m-%dT%H}"):
        yield f"did not heal: the last cycle is that of {last}"


def mutate(number: int) -> str | None:
    """Read a mutated answer; return what left the parser that should not."""
    chance = random.Random(number)
    feed = chance.choice(FEEDS)
    api = stub()
    params = {"token_id": "3375,3306", "startDate": "2025-04-08", "endDate": "2025-04-10", "limit": "100"}
    made: Any = list(api._rows(feed, params))
    text = json.dumps({"success": True, "data": _twist(made, chance)})
    if chance.random() < 0.2:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(["", "\x00", "9" * 30, '"', "}", "e999"]) + text[at + 1 :]
    tokens = frozenset({TokenId(3375), TokenId(3306)})
    try:
        reading = read_answer(text.encode("utf-8", "surrogatepass"))
        found = rows_of(feed, 200, reading.content, None)  # type: ignore[arg-type]
        parse(feed, found, Question(tokens=tokens, started_at=NOW, known_at=NOW))
    except BotError:
        return None
    except Exception:  # noqa: BLE001 - as above
        return traceback.format_exc(limit=-2)
    return None


ODD: tuple[Any, ...] = (
    None, "", "x", "\ud800", True, 0, -1, 1e25, float("nan"), [], {}, [[]], "2025-04-09", "1_000", 10**40, "NaN",
    {"level": 1},
)  # fmt: skip


def _twist(value: Any, chance: random.Random) -> Any:
    """Change some places of a value, at any depth."""
    if chance.random() < 0.02:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {
            (key.lower() if chance.random() < 0.05 else key): _twist(one, chance)
            for key, one in value.items()
            if chance.random() > 0.02
        }
    if isinstance(value, list):
        return [_twist(one, chance) for one in value]
    return value


def main(given: Sequence[str] | None = None) -> int:
    """Run the suite, or one case of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--size", choices=tuple(MUTATIONS), default="ci")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="N", help="first seed [1]")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds [ci: 1, night: 100]")
    parser.add_argument("--case", metavar="FAULT:FEED:SEED", help="one case alone")
    parser.add_argument("--results", type=Path, default=Path("build/faults.json"))
    asked = parser.parse_args(given)
    seeds = range(asked.first, asked.first + (asked.seeds or {"ci": 1, "night": 100}[asked.size]))
    cases = [Case(fault, feed, seed) for seed in seeds for fault in (*FAULTS, *ROWS) for feed in FEEDS]
    if asked.case:
        fault, feed, seed = asked.case.split(":")
        cases = [Case(fault, feed, int(seed))]
    began, expected, wrong = time.monotonic(), healthy(), []
    for number, case in enumerate(cases, 1):
        for found in judge(case, expected):
            wrong.append({**asdict(case), "wrong": found})
            sys.stderr.write(f"{case}: {found}\n  python -m tests.faults.run --case {case}\n")
        if sys.stderr.isatty():
            sys.stderr.write(f"\rfaults: {number} of {len(cases)}")
    count = 0 if asked.case else MUTATIONS[asked.size]
    for number in range(asked.first, asked.first + count):
        if found := mutate(number):
            wrong.append({"mutation": number, "wrong": found})
            sys.stderr.write(f"mutation {number}: {found}\n")
    seconds = round(time.monotonic() - began, 1)
    told = {"cases": len(cases), "mutations": count, "seeds": [seeds[0], seeds[-1]], "seconds": seconds, "wrong": wrong}
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    asked.results.write_text(json.dumps(told, indent=1))
    said = f"{len(cases)} cases, {count} mutated answers, {len(wrong)} wrong, {seconds} s: {asked.results}"
    sys.stdout.write(f"faults: {said}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
