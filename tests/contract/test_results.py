"""The figures of a run are read from the public views, alike from both databases."""

import json
from pathlib import Path

from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.verify import violations
from bot.app.review.results import describe_statistics, statistics
from bot.app.telling.printing import to_json
from tests.base_case import hours, strategy_text
from tests.contract.decision_samples import BOTH, both_ways
from tests.contract.ledger_samples import RUN, opened
from tests.edge_replays import replay


def test_figures_are_alike_on_both_databases(made_url: str) -> None:
    """A short and a long of one morning: sums are those of the view, and what four hours cannot give has a reason."""
    with writing(made_url, create=True) as book:
        opened(book, BOTH).commit_all(both_ways())
    reader = Reader(made_url)
    found = json.loads(to_json(statistics(reader, BOTH)))
    trades = reader.rows("select profit, r_multiple from v_trades where not is_open", {})
    profits = [float(str(row["profit"])) for row in trades]
    assert found["closed_trades"] == len(trades) == 2
    assert (found["wins"], found["losses"]) == (sum(one > 0 for one in profits), sum(one < 0 for one in profits))
    assert round(found["expectancy"] * 2, 6) == round(sum(profits), 6)
    assert found["sharpe"] is None
    assert found["reasons"]["sharpe"] == "needs 30 daily returns, has 1"
    assert found["hold_return"] is None
    assert found["reasons"]["hold_return"] == "the benchmark needs two UTC days with a mark"
    deepest = reader.rows("select max(1 - equity / high_water_mark) as deepest from v_equity", {})[0]["deepest"]
    assert round(found["max_drawdown"], 9) == round(float(str(deepest)), 9)
    assert found["drawdown_started_at"] is None or found["drawdown_started_at"].endswith("Z")


def test_a_replay_has_the_same_figures_on_both_databases(made_url: str, tmp_path: Path) -> None:
    """T3 and the benchmark: the deepest fall with its instants, daily marks and the bars of fills, from either one."""
    bars = hours((4, "100"), (2, "150"), (1, "50"), (33, "100"))
    changes = {"sizing": {"rule": "fixed_notional", "notional": 500, "quantity": None}}
    text = strategy_text(changes)
    more = ("--ledger", made_url, "--cash", "1000")
    found = replay(tmp_path, {"bars/1h/AAA.csv": bars}, *more, strategy=text)
    assert found.code == 0, found.stderr
    figures = found.answer["statistics"]
    assert (figures["max_drawdown"], figures["max_drawdown_amount"]) == (0.4, 500)
    assert figures["drawdown_started_at"] == "2024-01-01T05:00:00.000000Z"
    assert figures["drawdown_trough_at"] == "2024-01-01T07:00:00.000000Z"
    assert figures["hold_return"] == 0
    reader = Reader(made_url)
    days = reader.rows("select day, equity, benchmark, drawdown_deepest from v_equity_daily order by slot", {})
    assert [[str(row["day"]), *(float(str(row[name])) for name in ("equity", "benchmark"))] for row in days] == [
        ["2024-01-01", 1000, 1000],
        ["2024-01-02", 1000, 1000],
    ]
    (bar,) = reader.rows("select symbol, timeframe, o, volume from v_bars", {})
    told = [bar["symbol"], bar["timeframe"], *(float(str(bar[name])) for name in ("o", "volume"))]
    assert told == ["AAA", "1h", 100, 1000]
    (run,) = reader.rows("select name, kind, cash from v_runs", {})
    assert (run["name"], run["kind"], float(str(run["cash"]))) == ("s", "replay", 1000)
    assert len(reader.rows("select hash, text from v_configurations", {})) == 1
    assert violations(made_url) == []


def test_a_benchmark_that_is_lost_has_no_figures(tmp_path: Path) -> None:
    """Half of it rises from 1 to 1e9, beyond what a ledger holds: unknown, and not what it was worth the day before."""
    bars = {"bars/1h/AAA.csv": hours((80, "100")), "bars/1h/BBB.csv": hours((60, "1"), (20, "1000000000"))}
    text = strategy_text({"strategy": {"universe": ["AAA", "BBB"]}})
    found = replay(tmp_path, bars, strategy=text)
    assert found.code == 0, found.stderr
    figures = found.answer["statistics"]
    for name in ("hold_return", "hold_sharpe", "hold_max_drawdown"):
        assert figures[name] is None
        assert figures["reasons"][name].startswith("the benchmark's worth is not known at the last day")


def test_a_run_without_a_cycle_has_reasons_for_everything(book: SqlLedger) -> None:
    """Nothing was marked and nothing traded: no figure but those of a fall that never was, and a sentence for each."""
    reader = Reader(str(book.engine.url.render_as_string(hide_password=False)))
    found = statistics(reader, RUN)
    reasons = found["reasons"]
    assert isinstance(reasons, dict)
    assert (found["days"], found["closed_trades"]) == (0, 0)
    for name in ("total_return", "cagr", "sharpe", "win_rate", "sqn", "exposure_time", "turnover"):
        assert found[name] is None
        assert reasons[name] in describe_statistics(found)
