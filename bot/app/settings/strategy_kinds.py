"""The kinds of values in a strategy file, and the rules that a key may belong to.

Bounds refuse a percentage in place of a fraction: 20 can only mean 20 %, so it is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.app.settings.kinds import FRACTION, Number, Text, Word, Words, show_value
from bot.app.settings.tables import Chosen
from bot.domain.orders import Side
from bot.engine.rules import ExitRule, PriceRule, Rank, SizeRule

EVERY = "*"
# `providers` has them; their names stand here because few commands need more.
PROVIDER_NAMES = ("tokenmetrics",)
BOTH = "both"

Universe = tuple[str | int, ...] | str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A universe: a list of symbols or token_ids, or "*"."""

    def read(self, raw: object) -> Universe:
        """Check a universe, without resolving it to tokens."""
        if raw == EVERY:
            return EVERY
        if not isinstance(raw, list):
            raise ValueError(f'{show_value(raw)} is no list of symbols or token_ids, nor "*"')
        if not raw:
            raise ValueError('empty: name symbols or token_ids, or write "*" for all')
        for number, token in enumerate(raw):
            _check_token(token, raw[:number])
        return tuple(raw)

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return 'list of symbols or token_ids, or "*"'


def _check_token(token: object, earlier: Sequence[object]) -> None:
    """Refuse a value that is neither a symbol nor a token_id, and a token that is listed twice."""
    symbol = isinstance(token, str) and token.isprintable() and token.strip() == token != ""
    identity = isinstance(token, int) and not isinstance(token, bool) and token >= 1
    if token == EVERY:
        raise ValueError('write universe = "*", without a list, for all tokens')
    if not symbol and not identity:
        raise ValueError(f"{show_value(token)} is neither a symbol nor a token_id")
    if token in earlier:
        raise ValueError(f"{show_value(token)} is there twice: name each token once")


NAME = Text(
    r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,62}[A-Za-z0-9_]|[A-Za-z0-9_]",
    "name of up to 64 letters a-z, digits and _ . -", "levels_long",
)
ANY = Number()
POSITIVE = Number(above=0)
COUNT = Number(at_least=1, whole=True)
GRADE = Number(at_least=0, at_most=100)
CORRELATION = Number(at_least=-1, at_most=1)
HAIRCUT = Number(above=0, at_most=10)
GROWTH = Number(unit=FRACTION)
SHARE = Number(above=0, at_most=1, unit=FRACTION)
PART = Number(above=0, below=1, unit=FRACTION)
BELOW_ONE = Number(at_least=0, below=1, unit=FRACTION)
UP_TO_ONE = Number(at_least=0, at_most=1, unit=FRACTION)
UP_TO_TEN = Number(above=0, at_most=10, unit=FRACTION)
# A short's stop may lie at 2 x the entry or higher. `strategies.py` keeps the distance below 1 for
# strategies that open longs.
DISTANCE = UP_TO_TEN
FROM_ZERO_TO_TEN = Number(at_least=0, at_most=10, unit=FRACTION)
# Ten years: a span that leads to a date beyond the calendar would stop every cycle with an error.
HOURS = Number(above=0, at_most=87_600, unit="hours")
WAIT = Number(at_least=0, at_most=87_600, unit="hours")
DAYS = Number(above=0, at_most=3_650, unit="days")
MONEY = Number(above=0, unit="quote currency")
LEAST_MONEY = Number(at_least=0, unit="quote currency")
BASE_UNITS = Number(above=0, unit="base units")
SIGMAS = Number(above=0, at_most=1000, unit="daily sigmas")
RANGES = Number(above=0, unit="ATR or daily sigma")
ATRS = Number(above=0, at_most=1000, unit="ATR")
RISKS = Number(above=0, at_most=1000, unit="R")

# Enum members are strings, so tuples of words may mix plain literals and members.
STOP_PRICES = (PriceRule.FRACTION, PriceRule.ATR, PriceRule.SIGMA)
TARGET_PRICES = (PriceRule.FRACTION, PriceRule.R_MULTIPLE)
STOP_MULTIPLES = (PriceRule.ATR, PriceRule.SIGMA)
SIDES = Word((*Side, BOTH))
STOP_RULES = Word((PriceRule.LEVEL, *STOP_PRICES, PriceRule.NONE))
TARGET_RULES = Word((PriceRule.LEVEL, *TARGET_PRICES, PriceRule.NONE))
EXIT_RULES = Words(Word(tuple(ExitRule)))

COMPOSITE = Chosen("entry.rank", (Rank.COMPOSITE,))
STOP_PLACED = Chosen("stop.rule", (PriceRule.LEVEL, *STOP_PRICES))
STOP_AT_LEVEL = Chosen("stop.rule", (PriceRule.LEVEL,))
TARGET_AT_LEVEL = Chosen("target.rule", (PriceRule.LEVEL,))
TARGET_IN_PARTS = Chosen("target.rule", (PriceRule.LEVEL, PriceRule.R_MULTIPLE))
INVERSE = Chosen("sizing.rule", (SizeRule.INVERSE_VOLATILITY,))
NORMALISED = Chosen("sizing.rule", (SizeRule.NORMALISED_INVERSE_VOLATILITY,))
BY_VOLATILITY = Chosen("sizing.rule", (*INVERSE.words, *NORMALISED.words))
TRAILING = Chosen("exits.rules", (ExitRule.TRAILING_STOP,))
BREAKING_EVEN = Chosen("exits.rules", (ExitRule.BREAK_EVEN,))
TIMED = Chosen("exits.rules", (ExitRule.TIME_STOP,))
SHORTS = Chosen("strategy.side", (Side.SHORT, BOTH))
