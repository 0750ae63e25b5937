"""The recipes of CONTRIBUTING.md, each followed with a dummy: its steps, and the tests that notice one left out.

A step is a small edit of one file, given as texts to add behind others; the name of a recipe is that of its row.
"""

from collections.abc import Mapping
from typing import NamedTuple

MAKE_DOCS = "make docs"


class Step(NamedTuple):
    """An edit of a file: each text is put behind the text that it is listed under; alone it makes the file."""

    path: str
    edits: Mapping[str, str]


class Recipe(NamedTuple):
    """What is added, step by step, and the tests that pass with all steps; plugin: what has their fixtures."""

    name: str
    steps: tuple[Step, ...]
    tests: tuple[str, ...]
    plugin: str | None = None


def new(path: str, text: str) -> Step:
    """Make a file."""
    return Step(path, {"": text})


DOCS = Step(MAKE_DOCS, {})
RULES = "bot/engine/rules.py"
KEYS = "bot/app/settings/strategy_keys.py"
KINDS = "bot/app/settings/strategy_kinds.py"
REFERENCE = "docs/strategy.md"
# Tests of strategy files; those that need no other module come first.
DEMAND = tuple(
    f"tests/unit/test_demand.py::{name}"
    for name in (
        "test_every_rule_has_a_row",
        "test_every_threshold_has_a_gate",
        "test_every_breaker_that_is_set_is_watched",
        "test_every_field_of_the_rules_is_a_key_of_strategy_files",
        "test_every_key_of_an_exit_belongs_to_its_rule",
        "test_every_stop_that_is_no_level_has_its_number",
        "test_every_declared_key_is_a_key_of_strategy_files",
    )
)
DOCUMENTED = tuple(
    f"tests/test_docs.py::{name}"
    for name in (
        "test_every_shipped_strategy_loads_under_its_own_name",
        "test_the_tables_of_the_reference_are_those_of_the_keys",
        "test_every_key_has_an_example_in_the_reference",
        "test_every_example_of_the_reference_is_accepted",
    )
)

GATE = Recipe(
    "a gate",
    (
        Step(RULES, {"    market_cap_min: Decimal | None = None\n": "    market_cap_max: Decimal | None = None\n"}),
        Step(
            "bot/engine/gates/token.py",
            {
                "    return compare(hours, Comparator.AT_MOST, most, Reason.MISSING_PRICE)\n": '''

def market_cap_most(proposal: Proposal, most: Decimal) -> Finding:
    """Measure the market capitalisation."""
    found = proposal.view.market.market_cap if proposal.view.market else None
    return compare(found, Comparator.AT_MOST, most, Reason.MISSING_MARKET)
'''
            },
        ),
        Step(
            "bot/engine/gates/table.py",
            {
                '"market.market_cap"),\n': """        "market_cap_most": limit(
            "gates.market_cap_max", "as the provider gives it", token_gates.market_cap_most
        ),
"""
            },
        ),
        Step("bot/engine/gates/table.py", {"token_gates.market_cap_most": ", Input.MARKET"}),
        Step(
            KEYS,
            {
                '    Key("gates.market_cap_min", of.MONEY, "least market capitalisation"),\n': (
                    '    Key("gates.market_cap_max", of.MONEY, "largest market capitalisation"),\n'
                )
            },
        ),
        Step(REFERENCE, {"market_cap_min = 100_000_000\n": "market_cap_max = 900_000_000\n"}),
        DOCS,
    ),
    (
        *DEMAND,
        "tests/unit/test_gates.py::test_every_gate_can_speak",
        "tests/unit/test_gates.py::test_no_gate_reads_what_it_does_not_declare",
        *DOCUMENTED,
    ),
)

EXIT = Recipe(
    "an exit rule",
    (
        Step(RULES, {'    TIME_STOP = "time_stop"\n': '    DAY_END = "day_end"\n'}),
        Step(RULES, {"    break_even_r: Decimal | None = None\n": "    day_end_hour: Decimal | None = None\n"}),
        Step("bot/domain/positions.py", {'    TIME_STOP = "time_stop"\n': '    DAY_END = "day_end"\n'}),
        Step(
            "bot/engine/exits.py",
            {
                "    return due is not None and slot >= due\n": """

def _day_end(_view: TokenView, _holding: Holding, slot: datetime, rules: Rules) -> bool:
    return slot.hour == rules.exits.day_end_hour
""",
                "EXITS: Mapping[ExitRule, Row[SlotExit | None]] = table_of(\n": """    _exit(
        ExitRule.DAY_END,
        "the slots of the hour day_end_hour",
        ask=SlotExit(ExitReason.DAY_END, _day_end),
    ),
""",
            },
        ),
        Step(
            KINDS,
            {
                'TIMED = Chosen("exits.rules", (ExitRule.TIME_STOP,))\n': (
                    'ENDING = Chosen("exits.rules", (ExitRule.DAY_END,))\n'
                )
            },
        ),
        Step(
            KEYS,
            {
                '    Key("exits.rules", of.EXIT_RULES, "what may end a position"),\n': (
                    '    Key("exits.day_end_hour", of.HOURS, "hour of the day", only=of.ENDING, needed=True),\n'
                ),
            },
        ),
        Step(
            REFERENCE,
            {
                'rules = ["signal_flipped", "stop_hit", "target_hit", "time_stop", "trailing_stop", "break_even"': (
                    ', "day_end"'
                ),
                "time_stop_hours = 336\ntrailing_fraction = 0.10\n": "day_end_hour = 23\n",
            },
        ),
        DOCS,
    ),
    (*DEMAND, *DOCUMENTED),
)

SIZE = Recipe(
    "a size",
    (
        Step(RULES, {'    FIXED_QUANTITY = "fixed_quantity"\n': '    EQUAL_PARTS = "equal_parts"\n'}),
        Step(RULES, {"    quantity: Decimal | None = None\n": "    parts: int | None = None\n"}),
        Step(
            "bot/engine/sizing.py",
            {
                "SIZES: Mapping[SizeRule, Row[Notional]] = table_of(\n": """    _size(
        SizeRule.EQUAL_PARTS,
        "equity / parts",
        lambda _view, _reference, _bracket, account, rules: (
            None if rules.sizing.parts is None else account.equity / rules.sizing.parts
        ),
    ),
"""
            },
        ),
        Step(
            KEYS,
            {
                '        only=Chosen("sizing.rule", ("fixed_quantity",)), needed=True,\n    ),\n': """    Key(
        "sizing.parts", of.COUNT,
        "how many parts the equity has", only=Chosen("sizing.rule", ("equal_parts",)), needed=True,
    ),
"""
            },
        ),
        Step(
            REFERENCE,
            {
                'rule = "fixed_quantity"\nquantity = 0.05\n': (
                    '```\n\n```toml\n[sizing]\nrule = "equal_parts"\nparts = 4\n'
                )
            },
        ),
        DOCS,
    ),
    (*DEMAND, *DOCUMENTED),
)

STOP = Recipe(
    "a stop or target rule",
    (
        Step(RULES, {'    R_MULTIPLE = "r_multiple"\n': '    SPAN = "span"\n'}),
        Step(
            "bot/engine/placement.py",
            {
                "_days: reference * fraction,\n    ),\n": """    _price(
        "stop",
        PriceRule.SPAN,
        "anchor - multiple x (high - low) of the last whole day",
        lambda multiple, _reference, days: multiple * (days[-1].high - days[-1].low) if days else None,
        Input.DAYS,
    ),
"""
            },
        ),
        Step(KINDS, {"STOP_PRICES = (": "PriceRule.SPAN, "}),
        Step(KINDS, {"STOP_MULTIPLES = (": "PriceRule.SPAN, "}),
        DOCS,
    ),
    (*DEMAND, *DOCUMENTED),
)

RANK = Recipe(
    "a rank",
    (
        Step(RULES, {'    SORTINO = "sortino"\n': '    CAGR = "cagr"\n'}),
        Step(
            "bot/engine/candidates.py",
            {
                "SCORES: Mapping[Rank, Row[Score]] = table_of(\n": """    _rank(
        Rank.CAGR,
        "compound annual growth of the token",
        lambda view, bracket: (
            None if view.quantmetrics is None else _for_side(view.quantmetrics.cagr, bracket)
        ),
        Input.QUANTMETRICS,
    ),
"""
            },
        ),
        Step(
            KEYS,
            {
                '            Key("entry.weights.sharpe", of.POSITIVE, "weight of the Sharpe ratio"),\n': (
                    '            Key("entry.weights.cagr", of.POSITIVE, "weight of the annual growth"),\n'
                )
            },
        ),
        Step(REFERENCE, {"[entry.weights]\ngrade = 2\n": "cagr = 1\n"}),
        DOCS,
    ),
    (*DEMAND, *DOCUMENTED),
)

BREAKER = Recipe(
    "a breaker",
    (
        Step(RULES, {'    VOLATILITY_SHOCK = "volatility_shock"\n': '    EXPOSURE = "exposure"\n'}),
        Step(RULES, {"    volatility_shock: Breaker | None = None\n": "    exposure: Breaker | None = None\n"}),
        Step(
            RULES,
            {
                "            BreakerName.VOLATILITY_SHOCK: self.volatility_shock,\n": (
                    "            BreakerName.EXPOSURE: self.exposure,\n"
                )
            },
        ),
        Step(
            "bot/engine/breakers.py",
            {
                "BREAKERS: Mapping[BreakerName, Row[Measure]] = table_of(\n": """    _breaker(
        BreakerName.EXPOSURE, "exposure >= at", lambda _portfolio, mark, _views: mark.exposure
    ),
"""
            },
        ),
        Step(
            KEYS,
            {
                '    Key("limits.exposure_max", of.SHARE, "largest exposure, of equity"),\n': (
                    '    _breaker(rules.BreakerName.EXPOSURE, of.PART, "exposure, of equity", BY_HAND),\n'
                )
            },
        ),
        Step(
            REFERENCE,
            {
                "| breaker: largest move of a held token since the day before | table with at, action, hours |  |"
                " absent |  |\n<!-- end -->\n": (
                    "\n### `[limits.exposure]`\n\n<!-- keys: limits.exposure -->\n<!-- end -->\n"
                ),
                'loss_streak = { at = 5, action = "block", hours = 48 }\n': (
                    'exposure = { at = 0.9, action = "block", hours = 24 }\n'
                ),
            },
        ),
        DOCS,
    ),
    (
        *DEMAND,
        "tests/unit/test_strategy_rules.py::test_a_breaker_may_be_a_table_or_written_in_a_line",
        *DOCUMENTED,
    ),
)

PROVIDER = Recipe(
    "a provider",
    (
        new(
            "bot/adapters/other/provider.py",
            '''"""Another provider."""

from dataclasses import replace

from bot.adapters.tokenmetrics.provider import TOKEN_METRICS

OTHER = replace(TOKEN_METRICS, name="other", feeds=frozenset({"other-signals"}))
''',
        ),
        Step(
            "bot/app/settings/providers.py",
            {
                "import TOKEN_METRICS\n": "from bot.adapters.other.provider import OTHER\n",
                "for provider in (TOKEN_METRICS,": " OTHER",
            },
        ),
        Step(KINDS, {'PROVIDER_NAMES = ("tokenmetrics",': ' "other"'}),
        DOCS,
    ),
    (
        "tests/live/test_two_providers.py::test_the_names_of_providers_are_those_that_a_file_may_write",
        "tests/live/test_two_providers.py::test_no_feed_is_of_two_providers",
        *DOCUMENTED,
    ),
)

COMMAND = Recipe(
    "a command",
    (
        new(
            "bot/app/review/tokens.py",
            '''"""The tokens of a ledger."""

from bot.app.telling.answers import Answer


def list_tokens(url: str) -> Answer:
    """List the tokens."""
    return Answer(parts=(url,))
''',
        ),
        Step(
            "bot/cli/review.py",
            {
                "    return show_order(arguments.order_id, ledger_in(arguments))\n": """

def _tokens(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.tokens import list_tokens

    return list_tokens(arguments.ledger)
"""
            },
        ),
        Step(
            "bot/cli/review.py",
            {
                "    add_ledger_options(explain)\n": (
                    '    add_ledger_options(add_command(commands, "tokens", "the tokens of a ledger", _tokens))\n'
                )
            },
        ),
        Step(
            "README.md",
            {
                "`bot explain ORDER_ID` follows an order from the recorded answers to the books.": (
                    " `bot tokens` lists\nthe tokens of a ledger."
                )
            },
        ),
    ),
    tuple(
        f"tests/test_docs.py::{name}"
        for name in (
            "test_what_a_command_calls_is_there",
            "test_every_command_has_help_and_stands_in_the_readme",
            "test_every_command_in_the_readme_exists",
        )
    ),
)

CONFIG = "bot/app/settings/config.py"
CONFIGURATION = Recipe(
    "a configuration key",
    (
        Step(
            CONFIG,
            {
                '    Key("source.requests_per_minute", COUNT, "the plan\'s requests per minute", 20),\n': (
                    '    Key("source.side_by_side", COUNT, "most requests at once", 8),\n'
                )
            },
        ),
        Step(CONFIG, {"    requests_per_minute: int\n": "    side_by_side: int = 8\n"}),
        Step(
            "config.example.toml",
            {"requests_per_minute = 60            # requests a minute that your plan allows\n": "side_by_side = 8\n"},
        ),
    ),
    ("tests/unit/test_config.py",),
)

RULES_AND_COMMANDS = (GATE, EXIT, SIZE, STOP, RANK, BREAKER, PROVIDER, COMMAND, CONFIGURATION)
