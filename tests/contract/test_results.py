"""The figures of a run are read from the public views, alike from both databases."""

import json

from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.reads import Reader
from bot.app.reports import as_json
from bot.app.results import statistics, tell_statistics
from tests.contract.decision_samples import BOTH, both_ways
from tests.contract.ledger_samples import RUN, opened


def test_figures_are_alike_on_both_databases(ledger_url: str) -> None:
    """A short and a long of one morning: sums are those of the view, and what four hours cannot give has a reason."""
    with writing(ledger_url, create=True) as book:
        opened(book, BOTH).commit_all(both_ways())
    reader = Reader(ledger_url)
    found = json.loads(as_json(statistics(reader, BOTH)))
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


def test_a_run_without_a_cycle_has_reasons_for_everything(book: SqlLedger) -> None:
    """Nothing was marked and nothing traded: no figure but those of a fall that never was, and a sentence for each."""
    reader = Reader(str(book.engine.url.render_as_string(hide_password=False)))
    found = statistics(reader, RUN)
    reasons = found["reasons"]
    assert isinstance(reasons, dict)
    assert (found["days"], found["closed_trades"]) == (0, 0)
    for name in ("total_return", "cagr", "sharpe", "win_rate", "sqn", "exposure_time", "turnover"):
        assert found[name] is None
        assert reasons[name] in tell_statistics(found)
