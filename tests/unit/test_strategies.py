"""Strategy files: what is accepted becomes exactly the rules written, all else ends in one line with a mend."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot.app.settings import shipped
from bot.app.settings.strategies import find_strategy, load_strategy, strategy_file
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import every
from bot.domain.errors import AccessError, BotError, ConfigError
from bot.engine.rules import ExitRule, Fallback, PriceRule, Reentry, Rules, SizeRule, SizingRules
from tests.strategy_texts import HEAD, SIZED, STOPPED, read, refusal

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_strategy_is_read_with_its_numbers_as_written() -> None:
    """The first strategy that `bot init` writes gives the rules a reader sees in it."""
    strategy = load_strategy("levels_long", ROOT / "strategies")
    rules = strategy.rules
    assert (strategy.name, strategy.universe[:3], strategy.bars) == ("levels_long", ("BTC", "ETH", "SOL"), None)
    assert strategy.text == (ROOT / "strategies" / "levels_long.toml").read_text()
    assert rules.gates.max_drawdown_limit == Decimal("0.85")
    assert rules.stop.fallback == Fallback(rule=PriceRule.ATR, multiple=Decimal(2))
    assert rules.target.rank_max == 2
    assert ExitRule.TIME_STOP in rules.exits.rules
    assert rules.limits.positions_max == 8


def test_absent_keys_take_the_defaults_of_the_engine(tmp_path: Path) -> None:
    """The table of keys and the engine's rules name the same defaults."""
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100))
    assert read(tmp_path, HEAD + SIZED).rules == Rules(name="plain", sizing=sizing)


def test_a_strategy_is_found_by_its_path_too(tmp_path: Path) -> None:
    """A path reads that file, wherever the folder of strategies is."""
    (tmp_path / "mine.toml").write_text(HEAD + SIZED)
    assert load_strategy(tmp_path / "mine.toml", tmp_path / "elsewhere").name == "plain"


@pytest.mark.parametrize("written", ["0.1000000000000000055", '"0.1000000000000000055"'])
def test_numbers_are_read_exactly_or_refused(tmp_path: Path, written: str) -> None:
    """Digits that a binary float would drop are kept up to eighteen, and refused beyond, never rounded."""
    head = HEAD + SIZED + "[fills]\nfee_fraction = "
    assert "more than 18 digits" in refusal(tmp_path, head + written)
    kept = read(tmp_path, head + written.replace("055", "05")).rules.fills.fee_fraction
    assert kept == Decimal("0.100000000000000005")


def test_a_number_may_be_a_string_of_digits(tmp_path: Path) -> None:
    """Numbers and strings of the same digits give the same rules."""
    text = HEAD + '[sizing]\nrule = "fixed_notional"\nnotional = {}\n[limits]\npositions_max = {}\n'
    assert read(tmp_path, text.format('"100.5"', '"3"')).rules == read(tmp_path, text.format("100.5", "3")).rules


def test_symbols_and_token_ids_may_stand_in_one_universe(tmp_path: Path) -> None:
    """A universe is kept as written, and a star stands for all."""
    assert read(tmp_path, HEAD.replace('["BTC"]', '["BTC", 3306]') + SIZED).universe == ("BTC", 3306)
    assert read(tmp_path, HEAD.replace('["BTC"]', '"*"') + SIZED).universe == "*"


def test_rules_with_nothing_to_act_on_are_no_error(tmp_path: Path) -> None:
    """A target exit without targets, and a flip exit where bearish is ignored, are accepted."""
    text = HEAD + 'bearish = "ignore"\n' + SIZED + '[exits]\nrules = ["signal_flipped", "target_hit", "stop_hit"]\n'
    rules = read(tmp_path, text).rules
    assert not rules.bearish_exits
    assert ExitRule.SIGNAL_FLIPPED in rules.exits.rules


def test_words_become_the_members_the_engine_compares_with(tmp_path: Path) -> None:
    """Every word of an enum arrives as its member."""
    rules = read(tmp_path, HEAD + SIZED + '[entry]\nreentry = "after_stop"\n').rules
    assert rules.entry.reentry is Reentry.AFTER_STOP


def test_freshness_holds_only_what_was_written(tmp_path: Path) -> None:
    """Each freshness gate is there for its input alone."""
    rules = read(tmp_path, HEAD + SIZED + "[gates.freshness_hours]\nsignals = 30\nprices = 2\n").rules
    assert rules.gates.freshness_hours == {"signals": Decimal(30), "prices": Decimal(2)}


@pytest.mark.parametrize("rule", ["inverse_volatility", "fixed_fraction", "risk_fraction"])
def test_the_risk_cap_goes_with_every_size_rule(tmp_path: Path, rule: str) -> None:
    """sizing.risk_fraction is a rule of its own and a cap under the others."""
    own = {"inverse_volatility": "target_volatility = 0.2\n", "fixed_fraction": "fraction = 0.1\n"}.get(rule, "")
    text = f'{HEAD}{STOPPED}[sizing]\nrule = "{rule}"\n{own}risk_fraction = 0.01\n[limits]\npositions_max = 2\n'
    assert read(tmp_path, text).rules.sizing.risk_fraction == Decimal("0.01")


@pytest.mark.parametrize(
    ("text", "path", "mend"),
    [
        (HEAD + SIZED + "[gates]\nsharp_min = 1\n", "gates.sharp_min", "did you mean `sharpe_min`?"),
        (HEAD + SIZED + "[gate]\nsharpe_min = 1\n", "gate", "did you mean `gates`?"),
        (HEAD + SIZED + "[gates]\npositions_max = 1\n", "gates.positions_max", "did you mean `limits.positions_max`?"),
        (HEAD + SIZED + STOPPED + '[stop.falback]\nrule = "atr"\n', "stop.falback", "did you mean `fallback`?"),
        ('name = "x"\n' + HEAD + SIZED, "name", "did you mean `strategy.name`?"),
        (HEAD + SIZED + "[[stop]]\nfraction = 0.1\n", "stop", "write [stop]"),
        (HEAD + SIZED + '[stop]\nrule = "fracton"\n', "stop.rule", "did you mean `fraction`?"),
        (HEAD + SIZED + '[exits]\nrules = ["stop_hitt"]\n', "exits.rules", "did you mean `stop_hit`?"),
        (HEAD + SIZED + '[exits]\nrules = "stop_hit"\n', "exits.rules", "no list"),
        (HEAD + SIZED + '[fills]\nsame_bar = "finer_bar"\n', "fills.same_bar", "did you mean `finer_bars`?"),
        (HEAD + SIZED + "[limits.drawdwn]\nat = 0.2\n", "limits.drawdwn", "did you mean `drawdown`?"),
        (HEAD + SIZED + "[limits]\ndrawdown = { att = 0.2 }\n", "limits.drawdown.att", "did you mean `at`?"),
        (HEAD + SIZED + "[exits]\ntrailing_fracton = 0.1\n", "exits.trailing_fracton", "`trailing_fraction`?"),
        (HEAD + SIZED + "[short]\nborow_fraction_per_day = 0\n", "short.borow_fraction_per_day", "`borrow_fraction"),
        (HEAD + SIZED + "[target]\nshare = 0.5\n", "target.share", "did you mean `target.part.share`?"),
        (HEAD + SIZED + '[entry]\nrank = "komposite"\n', "entry.rank", "did you mean `composite`?"),
        (HEAD + SIZED + "[entry]\nrank = 1\n", "entry.rank", "no text"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path, text: str, path: str, mend: str) -> None:
    """A typing error in a table, a key or a word is named with what was probably meant."""
    line = refusal(tmp_path, text)
    assert f": {path}: " in line
    assert mend in line


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("gates.sharpe_min", "true", "true is no number: write 10, say"),
        ("limits.exposure_max", '"15%"', "'15%' is a percentage: write a fraction, 0.15 for 15 %"),
        ("limits.exposure_max", '"7,5 %"', "write a fraction, 0.075 for 7.5 %"),
        ("limits.exposure_max", '"much %"', "write a fraction, 0.2 for 20 %"),
        ("limits.exposure_max", '"0,15"', "'0,15' has a comma: write 0.15, with a decimal point"),
        ("limits.exposure_max", '"most"', "'most' is no number: write 0.1, say"),
        ("gates.sharpe_min", "nan", "no finite number"),
        ("gates.sharpe_min", "-inf", "no finite number"),
        ("gates.sharpe_min", '"nan"', "no number"),
        ("gates.sharpe_min", "[1]", "no number"),
        ("gates.sharpe_min", "2024-01-01", "no number"),
        ("gates.sharpe_min", '"1_000"', "no number"),
        ("gates.sharpe_min", "1e40", "more than 18 digits"),
        ("gates.resistance_distance_min", '"0.2%"', "write a fraction"),
        ("gates.resistance_distance_min", "20", "20 is not at most 1: write a fraction, 0.2 for 20 %"),
        ("gates.resistance_distance_min", "2000", "2000 is not at most 1"),
        ("gates.volatility_max", "80", "write a fraction, 0.8 for 80 %"),
        ("gates.correlation_max", "-1.1", "not at least -1"),
        ("gates.correlation_max", "1.1", "not at most 1"),
        ("gates.price_disagreement_max", "2", "write a fraction, 0.02 for 2 %"),
        ("gates.frozen_hours_max", "0", "not above 0"),
        ("levels.merge_fraction", "1", "write a fraction, 0.01 for 1 %"),
        ("levels.merge_fraction", "-0.01", "not above 0"),
        ("levels.age_max_days", "0", "not above 0"),
        ("limits.drawdown", "0.2", "0.2 is no table: write [limits.drawdown] with at, action, hours"),
        ("target.part", "[]", 'belongs to target.rule = "level" or "r_multiple"'),
        ("gates.trader_grade_min", "101", "not at most 100"),
        ("gates.trader_grade_min", "-1", "not at least 0"),
        ("gates.max_drawdown_limit", "-0.5", "not above 0"),
        ("gates.reward_risk_min", "0", "not above 0"),
        ("gates.volume_min", "0", "not above 0"),
        ("entry.age_max_hours", "0", "not above 0"),
        ("entry.cooldown_hours", "-1", "not at least 0"),
        ("fills.fee_fraction", "1", "not below 1"),
        ("fills.slippage_fraction", "-0.1", "not at least 0"),
        ("limits.positions_max", "0", "not at least 1"),
        ("limits.positions_max", "1.5", "no whole number"),
        ("limits.positions_max", "true", "no whole number"),
        ("limits.positions_max", '"two"', "no whole number"),
        ("limits.exposure_max", "1.01", "not at most 1"),
        ("strategy.feed", '"weekly"', 'none of "daily", "hourly"'),
        ("strategy.bars", '"2h"', 'none of "1m", "5m", "1h", "1d"'),
        ("stop.rule", "{}", "a table is no text"),
    ],
)
def test_a_value_of_wrong_type_or_out_of_bounds_is_refused(tmp_path: Path, key: str, value: str, reason: str) -> None:
    """Types, NaN, signs, shares and percent are checked for every key, and the line says what is wrong."""
    table, _, name = key.rpartition(".")
    head = HEAD if table != "strategy" else ""
    tail = SIZED if table != "strategy" else HEAD.partition("\n")[2] + SIZED
    line = refusal(tmp_path, f"{head}[{table}]\n{name} = {value}\n{tail}")
    assert f": {key}: " in line
    assert reason in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gates.resistance_distance_min", "2000"),
        ("gates.max_drawdown_limit", "-85"),
        ("gates.trader_grade_min", "101"),
        ("gates.correlation_max", "2"),
        ("entry.age_max_hours", "-1"),
    ],
)
def test_no_fraction_is_named_where_none_was_meant(tmp_path: Path, key: str, value: str) -> None:
    """What is no fraction, and what no percentage would mend, is refused without one."""
    table, _, name = key.rpartition(".")
    assert "write a fraction" not in refusal(tmp_path, f"{HEAD}[{table}]\n{name} = {value}\n{SIZED}")


@pytest.mark.parametrize(
    ("universe", "reason"),
    [
        ("[]", "empty"),
        ('["BTC", "BTC"]', "twice"),
        ("[1, 1]", "twice"),
        ("[true]", "neither a symbol"),
        ("[0]", "neither a symbol"),
        ("[1.5]", "neither a symbol"),
        ('[""]', "neither a symbol"),
        ('["*"]', 'universe = "*"'),
        ('"BTC"', "no list"),
    ],
)
def test_a_universe_that_names_no_tokens_is_refused(tmp_path: Path, universe: str, reason: str) -> None:
    """Empty universes, repeats and things that are no tokens are refused before anything is resolved."""
    line = refusal(tmp_path, HEAD.replace('["BTC"]', universe) + SIZED)
    assert ": strategy.universe: " in line
    assert reason in line


@pytest.mark.parametrize(
    ("text", "path", "rule"),
    [
        (SIZED + '[stop]\nrule = "level"\nmultiple = 2\n', "stop.multiple", 'stop.rule is "level"'),
        (SIZED + "[stop]\nfraction = 0.1\n", "stop.fraction", 'stop.rule is "none"'),
        (SIZED + "[stop]\ndistance_max = 0.1\n", "stop.distance_max", 'stop.rule is "none"'),
        (SIZED + STOPPED + "buffer_fraction = 0.1\n", "stop.buffer_fraction", 'stop.rule is "fraction"'),
        (SIZED + '[stop.fallback]\nrule = "atr"\n', "stop.fallback.rule", 'stop.rule is "none"'),
        (
            SIZED + STOPPED + '[stop.fallback]\nrule = "atr"\nfraction = 0.1\n',
            "stop.fallback.fraction",
            'stop.fallback.rule is "atr"',
        ),
        (
            SIZED + STOPPED + "[stop.fallback]\nmultiple = 1\n",
            "stop.fallback.multiple",
            "stop.fallback.rule is not set",
        ),
        (
            SIZED + '[target]\nrule = "fraction"\nfraction = 1\nrank_max = 2\n',
            "target.rank_max",
            'target.rule is "fraction"',
        ),
        (SIZED + "target_volatility = 0.2\n", "sizing.target_volatility", 'sizing.rule is "fixed_notional"'),
        (SIZED + "quantity = 1\n", "sizing.quantity", 'sizing.rule is "fixed_notional"'),
        (SIZED + '[exits]\nrules = ["stop_hit"]\ntime_stop_hours = 4\n', "exits.time_stop_hours", 'holds "stop_hit"'),
        (SIZED + "[exits]\nrules = []\ntime_stop_hours = 4\n", "exits.time_stop_hours", "holds nothing"),
        (SIZED + "[exits]\ntrailing_fraction = 0.1\n", "exits.trailing_fraction", "trailing_stop"),
        (SIZED + "[exits]\nbreak_even_r = 1\n", "exits.break_even_r", "break_even"),
        (SIZED + "[short]\nmargin_fraction = 1\n", "short.margin_fraction", 'strategy.side is "long"'),
        (SIZED + "[entry.weights]\ngrade = 1\n", "entry.weights", 'entry.rank is "token_id"'),
        (SIZED + "[[target.part]]\nrank = 1\n", "target.part", 'target.rule is "none"'),
    ],
)
def test_keys_of_a_rule_not_chosen_are_refused(tmp_path: Path, text: str, path: str, rule: str) -> None:
    """A key that the chosen rule would not read is refused, naming the rule that is in force."""
    line = refusal(tmp_path, HEAD + text)
    assert f": {path}: belongs to " in line
    assert rule in line


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "sizing.target_volatility"),
        ("[sizing]\ntarget_volatility = 0.2\n", "limits.positions_max"),
        ('[sizing]\nrule = "fixed_quantity"\n', "sizing.quantity"),
        ('[sizing]\nrule = "normalised_inverse_volatility"\n', "sizing.weight_max"),
        (SIZED + '[entry]\nrank = "composite"\n', "entry.weights"),
        (SIZED + STOPPED + '[exits]\nrules = ["break_even"]\n', "exits.break_even_r"),
        (SIZED + "[limits.loss_streak]\nhours = 4\n", "limits.loss_streak.at"),
        (SIZED + "[limits]\ndrawdown = {}\n", "limits.drawdown.at"),
        ('[sizing]\nrule = "fixed_fraction"\n', "sizing.fraction"),
        ('[sizing]\nrule = "risk_fraction"\n' + STOPPED, "sizing.risk_fraction"),
        (SIZED + '[stop]\nrule = "fraction"\n', "stop.fraction"),
        (SIZED + '[stop]\nrule = "sigma"\n', "stop.multiple"),
        (SIZED + STOPPED + '[stop.fallback]\nrule = "atr"\n', "stop.fallback.multiple"),
        (SIZED + STOPPED + '[target]\nrule = "r_multiple"\n', "target.multiple"),
        (SIZED + '[exits]\nrules = ["time_stop"]\n', "exits.time_stop_hours"),
    ],
)
def test_what_a_chosen_rule_needs_is_asked_for(tmp_path: Path, text: str, path: str) -> None:
    """A missing key of the chosen rule is named with the line to add."""
    line = refusal(tmp_path, HEAD + text)
    assert f": {path}: missing" in line
    assert f"add `{path.rpartition('.')[2]} = `" in line


@pytest.mark.parametrize("gone", ["name", "universe"])
def test_name_and_universe_are_needed(tmp_path: Path, gone: str) -> None:
    """A strategy without a name or a universe says so."""
    kept = "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(gone))
    assert f": strategy.{gone}: missing: add" in refusal(tmp_path, kept + SIZED)


@pytest.mark.parametrize(
    "text", ["[strategy", HEAD + "name = 'again'\n", "x = 1e99999999999999999999", "x = " + "[" * 5000]
)
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    """A broken file is named, and never ends in a traceback."""
    assert "not TOML" in refusal(tmp_path, text)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The wrong encoding is named."""
    (tmp_path / "plain.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_strategy("plain", tmp_path)


def test_an_unknown_strategy_is_named_with_the_nearest(tmp_path: Path) -> None:
    """A strategy that is not there ends in 78 and the name that was probably meant."""
    (tmp_path / "levels_long.toml").write_text(HEAD)
    with pytest.raises(ConfigError, match=r"levels_lon.toml: no such file; did you mean `levels_long`\?"):
        load_strategy("levels_lon", tmp_path)
    with pytest.raises(ConfigError, match="strategies there and shipped: bracket_fixed, grade"):
        load_strategy("zzz", tmp_path)
    with pytest.raises(ConfigError, match="`bot init FOLDER --strategy bracket_fixed` writes it"):
        load_strategy("bracket_fixed", tmp_path / "nowhere")


def test_a_shipped_strategy_is_found_by_its_name_unless_the_folder_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U7: the folder comes first; hooks come from beside the file; paths and unknown names stay what they are."""
    package = tmp_path / "site" / "bot"
    place = package / "_strategies"
    place.mkdir(parents=True)
    (place / "hooked.toml").write_text(f"# One line.\n{HEAD}{SIZED}{STOPPED}")
    (place / "hooked.py").write_text("def veto(view, bracket):\n    return None\n")
    monkeypatch.setattr(shipped, "__file__", str(package / "app" / "settings" / "shipped.py"))
    mine = tmp_path / "mine"
    found = find_strategy("hooked", mine)
    assert found == place / "hooked.toml"
    assert load_strategy(found, mine).rules.hooks is not None
    for given in ("other", "hooked.toml", "there/hooked"):
        assert find_strategy(given, mine) == strategy_file(given, mine)
    mine.mkdir()
    (mine / "hooked.toml").write_text(HEAD)
    assert find_strategy("hooked", mine) == mine / "hooked.toml"


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """What cannot be read as a file is named."""
    (tmp_path / "plain.toml").mkdir()
    with pytest.raises(BotError, match=r"plain.toml: cannot be read") as caught:
        load_strategy("plain", tmp_path)
    assert not isinstance(caught.value, AccessError)


def test_every_key_says_what_it_means() -> None:
    """The table from which the documentation is written has a meaning and an accepted form for every key, once."""
    keys = tuple(every(KEYS))
    assert len({key.path for key in keys}) == len(keys)
    assert all(key.meaning and key.kind.describe() for key in keys)
