"""`bot check --lookahead`: whether what a strategy decides depends on what it could not know, or on what it remembers.

A history cut at an instant must give the journal cut there, by hooks that have seen the rest; a run taken up from its
portfolio must go on as it did, by hooks that have seen nothing. What is written into a file of hooks, such as a table
of later prices, no cut can show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from bot.adapters.clock import SystemClock
from bot.adapters.history.cut import cut_history
from bot.adapters.history.folder import History, HistorySource
from bot.adapters.sql.mapping import FACT_TABLES
from bot.app.replay.replay import Window, is_eventful, open_for, run_slots, setup_of, slots_in
from bot.app.settings.config import load_config
from bot.app.settings.hook_source import SIGNATURES
from bot.app.settings.strategies import Strategy, load_strategy, strategy_file
from bot.app.telling.answers import Row, to_json
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

HookCall = tuple[datetime, str, TokenId]


class Subject(NamedTuple):
    """A strategy to look at: its file, and the cash and slots of a run; schedule None: every close of its bars."""

    strategy: Path
    cash: Decimal = CASH
    schedule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first fact that is not the same, in the run that was cut or restarted after an instant (at).

    fact: its table and column; whole, other: its values, None where one side has no such fact; answer: what a hook said
    otherwise before it, None where none did.
    """

    how: str
    at: datetime
    slot: datetime
    symbol: str | None
    fact: str
    whole: str | None
    other: str | None
    answer: str | None

    def __str__(self) -> str:
        """Tell it in one line."""
        of = f" of {self.symbol}" if self.symbol else ""
        said = self.answer or "no hook was asked, or all answered the same"
        return (
            f"{self.slot:%Y-%m-%dT%H:%MZ}: {self.fact}{of} is {self.whole} in the whole history, {self.other}"
            f" {WHERE[self.how]} {self.at:%Y-%m-%dT%H:%MZ}; {said}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of looking at one strategy; facts: how many were compared."""

    strategy: str
    cuts: int
    facts: int
    difference: Divergence | None

    @property
    def row(self) -> Row:
        """Return it as a row of JSON."""
        found = self.difference
        return {**asdict(self), "found": found is not None, "difference": found and asdict(found)}

    def __str__(self) -> str:
        """Tell it in one line."""
        if self.difference is None:
            return f"{self.strategy}: no look-ahead found in {self.cuts} cuts, {self.facts} facts compared"
        return f"{self.strategy}: looks ahead or remembers: {self.difference}"


class _HookRecorder(HistorySource):
    """A history whose cycles' hooks are listened to: their answers by slot, hook and token, but for None."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.answers: dict[HookCall, list[str]] = {}
        self._slot: datetime | None = None

    def refresh(self, slot: datetime) -> datetime:
        """Note the slot."""
        self._slot = slot
        return super().refresh(slot)

    def listening(self, strategy: Strategy) -> Strategy:
        """Return a strategy whose hooks are heard."""
        hooks = strategy.rules.hooks
        if hooks is None:
            return strategy
        asked = {name: hook for name in SIGNATURES if (hook := getattr(hooks, name)) is not None}
        heard = Hooks(digest=hooks.digest, **{name: self._heard(name, hook) for name, hook in asked.items()})
        return replace(strategy, rules=replace(strategy.rules, hooks=heard))

    def _heard(self, name: str, hook: Callable[..., object]) -> Callable[..., object]:
        def ask(view: TokenView, given: object) -> object:
            answer = hook(view, given)
            if answer is not None and self._slot is not None:
                key = (self._slot, name, view.instrument.token_id)
                told = repr(answer) if isinstance(answer, str | int | Decimal | Bracket) else type(answer).__name__
                self.answers.setdefault(key, []).append(told)
            return answer

        return ask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """A replay in memory: its cycles in which something happened, and what hooks answered."""

    records: Mapping[datetime, CycleRecord]
    answers: Mapping[HookCall, list[str]]
    portfolio: Portfolio

    @property
    def facts(self) -> int:
        return sum(len(record.facts) for record in self.records.values())

    def within(self, first: datetime | None, last: datetime | None) -> "_Play":
        """Return what came after one slot and until another."""

        def is_within(slot: datetime) -> bool:
            return (first is None or slot > first) and (last is None or slot <= last)

        return replace(
            self,
            records={slot: record for slot, record in self.records.items() if is_within(slot)},
            answers={key: said for key, said in self.answers.items() if is_within(key[0])},
        )


def check_lookahead(config_path: Path, named: str | None, folder: Path, window: Window, *, as_json: bool) -> int:
    """Look at a strategy, or at those of a configuration, and tell what was found; 65 where one looks ahead."""
    looks = [look(one, folder, window) for one in _choose_subjects(config_path, named)]
    print(to_json([one.row for one in looks]) if as_json else "\n".join(map(str, looks)))
    return BadInputError.exit_code if any(one.difference for one in looks) else 0


def _choose_subjects(config_path: Path, named: str | None) -> list[Subject]:
    if named is not None:
        return [Subject(strategy_file(named, Path("strategies")))]
    config = load_config(config_path)
    runs = ((strategy_file(run.strategy, config.folder / "strategies"), run) for run in config.runs)
    return list(dict.fromkeys(Subject(path, run.cash, run.schedule) for path, run in runs))


def look(asked: Subject, folder: Path, window: Window) -> Look:
    """Replay a strategy in memory, whole, cut and taken up again, until one of them differs or all are done.

    ConfigError where the window has nothing to compare: then nothing was looked at.
    """
    path = asked.strategy
    strategy = load_strategy(path, path.parent)
    history = open_for(strategy, folder)
    slots = slots_in(history, window, asked.schedule)
    play = partial(_play, cash=asked.cash, end=slots[-1])
    whole = play(strategy, history, slots, None)
    cuts, facts = cuts_of(slots, whole), 0
    _require_decisions(strategy, whole, cuts)
    for number, at in enumerate(cuts, start=1):
        past = [slot for slot in slots if slot <= at]
        cut = play(strategy, cut_history(history, at), past, None)
        # The hooks of the whole history have seen what the cut must not know; newly loaded ones have seen nothing.
        rest = play(load_strategy(path, path.parent), history, slots[len(past) :], cut.portfolio)
        for how, mine, other in ((CUT, whole.within(None, at), cut), (RESTARTED, whole.within(at, None), rest)):
            found = _difference(how, at, mine, other, history)
            facts += mine.facts
            if found is not None:
                return Look(strategy=strategy.name, cuts=number, facts=facts, difference=found)
        tell_progress(f"{strategy.name}, cuts", number, len(cuts))
    return Look(strategy=strategy.name, cuts=len(cuts), facts=facts, difference=None)


def _require_decisions(strategy: Strategy, whole: _Play, cuts: Sequence[datetime]) -> None:
    judged = any(isinstance(fact, Candidate) for one in whole.records.values() for fact in one.facts)
    if not cuts or not judged:
        lacking = "a slot to cut at" if not cuts else "a candidate"
        message = f"{strategy.name}: this window has not {lacking}, so nothing was looked at: widen --from and --to"
        raise ConfigError(message)


def cuts_of(slots: Sequence[datetime], whole: _Play) -> list[datetime]:
    """Return slots spread over a window, and some at which candidates were judged or a hook answered, and those before.

    Who looks ahead by a day gives himself away only where the history ends within a day of what he said.
    """
    places = {slot: place for place, slot in enumerate(slots)}
    chosen = {len(slots) * number // (SPREAD + 1) for number in range(1, SPREAD + 1)}
    judged = [slot for slot, one in whole.records.items() if any(isinstance(fact, Candidate) for fact in one.facts)]
    for told in (judged, *(sorted({at for at, hook, _ in whole.answers if hook == name}) for name in SIGNATURES)):
        for number in range(DECISIONS if told else 0):
            place = places[told[(len(told) - 1) * number // (DECISIONS - 1)]]
            chosen |= {place, place - 1}
    return [slots[place] for place in sorted(chosen) if 0 <= place < len(slots) - 1]


def _play(
    strategy: Strategy,
    history: History,
    slots: Sequence[datetime],
    portfolio: Portfolio | None,
    *,
    cash: Decimal,
    end: datetime,
) -> _Play:
    """Replay slots, from a portfolio or from the start; end: of the whole window, where nothing is decided."""
    source = _HookRecorder(history)
    setup = setup_of(source.listening(strategy), history.universe, cash)
    portfolio = portfolio or Portfolio(run=setup.name)
    records: dict[datetime, CycleRecord] = {}
    for _, record, after in run_slots(setup, source, slots, SystemClock(), portfolio, end=end):
        portfolio = after
        if is_eventful(record):
            records[record.cycle.slot] = record
    return _Play(records=records, answers=source.answers, portfolio=portfolio)


def _difference(how: str, at: datetime, whole: _Play, other: _Play, history: History) -> Divergence | None:
    """Return the first fact that two runs do not share."""
    for slot in sorted(whole.records.keys() | other.records.keys()):
        mine, theirs = (play.records[slot].facts if slot in play.records else () for play in (whole, other))
        for one, two in zip_longest(mine, theirs):
            if one != two:
                fact, values = _first_difference(one, two)
                token_id = _token_of(one or two, (*mine, *theirs))
                return Divergence(
                    how=how,
                    at=at,
                    slot=slot,
                    symbol=None if token_id is None else history.instruments[token_id].symbol,
                    fact=fact,
                    whole=values[0],
                    other=values[1],
                    answer=_answer(slot, whole.answers, other.answers, history),
                )
    return None


def _first_difference(one: Fact | None, two: Fact | None) -> tuple[str, tuple[str | None, str | None]]:
    """Name the table and the column in which two facts differ, and both values."""
    table = FACT_TABLES[type(one or two)].name  # type: ignore[index]
    if type(one) is type(two):
        for field in fields(one):  # type: ignore[arg-type]
            values = getattr(one, field.name), getattr(two, field.name)
            if values[0] != values[1]:
                return f"{table} {field.name}", (str(values[0]), str(values[1]))
    return f"a row of {table}", ("there" if one else None, "there" if two and not one else None)


def _token_of(fact: Fact | None, facts: Sequence[Fact]) -> TokenId | None:
    """Return the token of a fact, or of another one about the same candidate, order or position."""
    keys = [(name, key) for name in ("candidate_id", "order_id", "position_id") if (key := getattr(fact, name, None))]
    alike = (other for other in facts for name, key in keys if getattr(other, name, None) == key)
    return next((found for one in (fact, *alike) if (found := getattr(one, "token_id", None)) is not None), None)


def _answer(
    slot: datetime, whole: Mapping[HookCall, list[str]], other: Mapping[HookCall, list[str]], history: History
) -> str | None:
    """Tell the first hook up to a slot that did not answer the same question in the same way."""
    for key in sorted(whole.keys() | other.keys(), key=lambda one: one[0]):
        said, now = (answers.get(key, []) for answers in (whole, other))
        if key[0] <= slot and said != now:
            asked_at, name, token_id = key
            told = (one_line(" then ".join(answers)) or "None" for answers in (said, now))
            symbol = history.instruments[token_id].symbol
            return f"hook {name} on {symbol} at {asked_at:%Y-%m-%dT%H:%MZ} answered {' and '.join(told)}"
    return None
