"""`bot check --lookahead`: whether decisions depend on the future, or on what hooks remember.

Material that is cut at an instant must give the same journal up to it, though the hooks have seen
the rest. A run that resumes from its portfolio must go on as before, though the hooks are newly
loaded. Data inside a hooks file, such as a table of later prices, cannot be detected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from bot.adapters.sql.mapping import FACT_TABLES
from bot.adapters.sql.recorded import Window
from bot.app.replay.material import Material, Place, is_eventful, open_for
from bot.app.settings.config import load_config
from bot.app.settings.hook_source import SIGNATURES
from bot.app.settings.hooks import Hook
from bot.app.settings.strategies import Strategy, find_strategy, load_strategy, strategy_file
from bot.app.telling.answers import Answer, Row, count_of
from bot.app.telling.progress import tell_progress
from bot.domain.decisions import Candidate, Fact
from bot.domain.errors import BadInputError, ConfigError
from bot.domain.ids import TokenId
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.hooks import one_line
from bot.engine.rules import Hooks

CASH = Decimal(10_000)
SPREAD, DECISIONS = 8, 4
CUT, RESTARTED = "cut", "restarted"
WHERE: Mapping[str, str] = {CUT: "in the history cut at", RESTARTED: "in a run taken up after"}

HookAnswer = tuple[str, TokenId, str]
HookCall = tuple[datetime, str, TokenId]
Answers = Mapping[HookCall, list[str]]


class Subject(NamedTuple):
    """A strategy to check: its file, cash, and cron (None: a slot at every close of its bars)."""

    strategy: Path
    cash: Decimal = CASH
    schedule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first fact, by table and column, that a cut or restart changed; None: no such fact."""

    how: str
    at: datetime
    slot: datetime
    symbol: str | None
    fact: str
    whole: str | None
    other: str | None
    answer: str | None

    def __str__(self) -> str:
        """Describe the difference in one line."""
        of = f" of {self.symbol}" if self.symbol else ""
        said = self.answer or "no hook was asked, or all answered the same"
        return (
            f"{self.slot:%Y-%m-%dT%H:%MZ}: {self.fact}{of} is {self.whole} in the whole history,"
            f" {self.other} {WHERE[self.how]} {self.at:%Y-%m-%dT%H:%MZ}; {said}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The result of checking one strategy; facts: how many were compared."""

    strategy: str
    cuts: int
    facts: int
    difference: Divergence | None

    @property
    def row(self) -> Row:
        """The result as a row of JSON."""
        return {**asdict(self), "found": self.difference is not None}

    def __str__(self) -> str:
        """Describe the result in one line."""
        if self.difference is None:
            looked = f"{count_of(self.cuts, 'cut')}, {count_of(self.facts, 'fact')} compared"
            return f"{self.strategy}: no look-ahead found in {looked}"
        return f"{self.strategy}: looks ahead or remembers: {self.difference}"


def _record_answers(strategy: Strategy, told: list[HookAnswer]) -> Strategy:
    """Wrap a strategy's hooks so that each of their answers, except None, is added to a list."""
    hooks = strategy.rules.hooks
    if hooks is None:
        return strategy
    asked = {name: hook for name in SIGNATURES if (hook := getattr(hooks, name)) is not None}
    heard = {name: _record_hook(name, hook, told) for name, hook in asked.items()}
    rules = replace(strategy.rules, hooks=Hooks(digest=hooks.digest, **heard))
    return replace(strategy, rules=rules)


def _record_hook(name: str, hook: Hook, told: list[HookAnswer]) -> Hook:
    def ask(view: TokenView, given: object) -> object:
        answer = hook(view, given)
        if answer is not None:
            is_plain = isinstance(answer, str | int | Decimal | Bracket)
            text = repr(answer) if is_plain else type(answer).__name__
            told.append((name, view.instrument.token_id, text))
        return answer

    return ask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """A replay in memory: its eventful cycles, the hooks' answers and the final portfolio."""

    records: Mapping[datetime, CycleRecord]
    answers: Answers
    portfolio: Portfolio

    @property
    def facts(self) -> int:
        return sum(len(record.facts) for record in self.records.values())

    @property
    def judged(self) -> list[datetime]:
        """The slots at which candidates were judged."""
        records = self.records.items()
        return [slot for slot, one in records if Candidate in map(type, one.facts)]

    def within(self, first: datetime | None, last: datetime | None) -> "_Play":
        """Keep what came after one slot and up to another; None sets no bound."""

        def is_within(slot: datetime) -> bool:
            return (first is None or slot > first) and (last is None or slot <= last)

        return replace(
            self,
            records={slot: record for slot, record in self.records.items() if is_within(slot)},
            answers={key: said for key, said in self.answers.items() if is_within(key[0])},
        )


def check_lookahead(config_path: Path, named: str | None, place: Place, window: Window) -> Answer:
    """Check a strategy, or all of a configuration; 65 when one looks ahead or remembers."""
    looks = [look(one, place, window) for one in _choose_subjects(config_path, named)]
    return Answer(
        payload=[one.row for one in looks],
        parts=tuple(map(str, looks)),
        exit_code=BadInputError.exit_code if any(one.difference for one in looks) else 0,
    )


def _choose_subjects(config_path: Path, named: str | None) -> list[Subject]:
    if named is not None:
        return [Subject(find_strategy(named, config_path.parent / "strategies"))]
    config = load_config(config_path)
    runs = ((strategy_file(run.strategy, config.folder / "strategies"), run) for run in config.runs)
    return list(dict.fromkeys(Subject(path, run.cash, run.schedule) for path, run in runs))


def look(asked: Subject, place: Place, window: Window) -> Look:
    """Replay a strategy whole, cut and resumed; raises ConfigError with nothing to compare."""
    path = asked.strategy
    strategy = load_strategy(path, path.parent)
    material = open_for(strategy, place, window, asked.schedule)
    slots, play = material.slots, partial(_play, cash=asked.cash)
    whole = play(strategy, material, slots, None)
    cuts, facts = cuts_of(slots, whole), 0
    if not cuts or not whole.judged:
        lacking = "a slot to cut at" if not cuts else "a candidate"
        mend = "so nothing was looked at: widen --from and --to"
        raise ConfigError(f"{strategy.name}: this window has not {lacking}, {mend}")
    for number, at in enumerate(cuts, start=1):
        past = [slot for slot in slots if slot <= at]
        cut = play(strategy, material.cut(at), past, None)
        # The cut run keeps the hooks that have seen the whole history; the resumed run loads new
        # ones, which have seen nothing.
        rest = play(load_strategy(path, path.parent), material, slots[len(past) :], cut.portfolio)
        sides = (CUT, whole.within(None, at), cut), (RESTARTED, whole.within(at, None), rest)
        for how, mine, other in sides:
            found = _difference(how, at, mine, other, material)
            facts += mine.facts
            if found is not None:
                return Look(strategy=strategy.name, cuts=number, facts=facts, difference=found)
        tell_progress(f"{strategy.name}, cuts", number, len(cuts))
    return Look(strategy=strategy.name, cuts=len(cuts), facts=facts, difference=None)


def cuts_of(slots: Sequence[datetime], whole: _Play) -> list[datetime]:
    """Choose the slots to cut at: spread over the window, and at or before decisions."""
    places = {slot: place for place, slot in enumerate(slots)}
    chosen = {len(slots) * number // (SPREAD + 1) for number in range(1, SPREAD + 1)}
    # Some of the judged slots and of each hook's answers, spread evenly, and the slot before each.
    for told in (
        whole.judged,
        *(sorted({at for at, hook, _ in whole.answers if hook == name}) for name in SIGNATURES),
    ):
        for number in range(DECISIONS if told else 0):
            place = places[told[(len(told) - 1) * number // (DECISIONS - 1)]]
            chosen |= {place, place - 1}
    return [slots[place] for place in sorted(chosen) if 0 <= place < len(slots) - 1]


def _play(
    strategy: Strategy, material: Material, slots: Sequence[datetime],
    portfolio: Portfolio | None, *, cash: Decimal,
) -> _Play:  # fmt: skip
    """Replay slots, from a portfolio or from the start."""
    told: list[HookAnswer] = []
    setup = material.set_up(_record_answers(strategy, told), cash)
    portfolio = portfolio or Portfolio(run=setup.name)
    records: dict[datetime, CycleRecord] = {}
    answers: dict[HookCall, list[str]] = {}
    for _, record, after in material.run(setup, slots, portfolio):
        portfolio, slot = after, record.cycle.slot
        for name, token_id, text in told:
            answers.setdefault((slot, name, token_id), []).append(text)
        told.clear()
        if is_eventful(record):
            records[slot] = record
    return _Play(records=records, answers=answers, portfolio=portfolio)


def _difference(how: str, at: datetime, whole: _Play, other: _Play, material: Material) -> Divergence | None:
    """Find the first fact that differs between two runs."""
    for slot in sorted(whole.records.keys() | other.records.keys()):
        found = (play.records.get(slot) for play in (whole, other))
        mine, theirs = (record.facts if record else () for record in found)
        for one, two in zip_longest(mine, theirs):
            if one != two:
                fact, values = _first_difference(one, two)
                token_id = _token_of(one or two, (*mine, *theirs))
                return Divergence(
                    how=how,
                    at=at,
                    slot=slot,
                    symbol=None if token_id is None else material.instruments[token_id].symbol,
                    fact=fact,
                    whole=values[0],
                    other=values[1],
                    answer=_answer(slot, whole.answers, other.answers, material),
                )
    return None


def _first_difference(one: Fact | None, two: Fact | None) -> tuple[str, tuple[str | None, str | None]]:
    """Name the table and column in which two facts differ, and both values."""
    table = FACT_TABLES[type(one or two)].name  # type: ignore[index]
    if type(one) is type(two):
        for field in fields(one):  # type: ignore[arg-type]
            values = getattr(one, field.name), getattr(two, field.name)
            if values[0] != values[1]:
                return f"{table} {field.name}", (str(values[0]), str(values[1]))
    return f"a row of {table}", ("there" if one else None, "there" if two and not one else None)


def _token_of(fact: Fact | None, facts: Sequence[Fact]) -> TokenId | None:
    """Find the token of a fact, or of another fact about the same candidate, order or position."""
    names = ("candidate_id", "order_id", "position_id")
    keys = [(name, key) for name in names if (key := getattr(fact, name, None))]
    alike = (other for other in facts for name, key in keys if getattr(other, name, None) == key)
    tokens = (getattr(one, "token_id", None) for one in (fact, *alike))
    return next((found for found in tokens if found is not None), None)


def _answer(slot: datetime, whole: Answers, other: Answers, material: Material) -> str | None:
    """Describe the first hook call up to a slot that two runs answered differently."""
    for key in sorted(whole.keys() | other.keys(), key=lambda one: one[0]):
        said, now = (answers.get(key, []) for answers in (whole, other))
        if key[0] <= slot and said != now:
            asked_at, name, token_id = key
            told = (one_line(" then ".join(answers)) or "None" for answers in (said, now))
            asked = f"hook {name} on {material.instruments[token_id].symbol}"
            return f"{asked} at {asked_at:%Y-%m-%dT%H:%MZ} answered {' and '.join(told)}"
    return None
