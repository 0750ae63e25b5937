"""The views, the ledger's public contract for SQL: names and columns stay, columns may be added.

One text serves both databases (spelling.py). Amounts are numbers in quote currency; instants have
the form that the tables have.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bot.adapters.sql.checks import LEDGER_CHECK
from bot.adapters.sql.schema.spelling import spell
from bot.adapters.sql.views import decision_views, run_views, sweep_views, tape_views, trade_views

# In order of creation: a view may read those above it.
VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "v_trades": trade_views.TRADES,
        "v_open_positions": trade_views.OPEN_POSITIONS,
        "v_orders": trade_views.ORDERS,
        "v_fills": trade_views.FILLS,
        "v_stop_moves": trade_views.STOP_MOVES,
        "v_decisions": decision_views.DECISIONS,
        "v_gates": decision_views.GATES,
        "v_gate_funnel": decision_views.GATE_FUNNEL,
        "v_near_misses": decision_views.NEAR_MISSES,
        "v_slot_levels": decision_views.SLOT_LEVELS,
        "v_run_events": decision_views.RUN_EVENTS,
        "v_parity": decision_views.PARITY,
        "v_equity": trade_views.EQUITY,
        "v_equity_daily": trade_views.EQUITY_DAILY,
        "v_runs": run_views.RUNS,
        "v_instruments": run_views.INSTRUMENTS,
        "v_configurations": run_views.CONFIGURATIONS,
        "v_cycles": decision_views.CYCLES,
        "v_api_calls": tape_views.API_CALLS,
        "v_signals": tape_views.SIGNALS,
        "v_levels": tape_views.LEVELS,
        "v_quantmetrics": tape_views.QUANTMETRICS,
        "v_grades": tape_views.GRADES,
        "v_bars": tape_views.BARS,
        "v_signal_scorecard": tape_views.SIGNAL_SCORECARD,
        "v_postings": trade_views.POSTINGS,
        "v_sweep": sweep_views.SWEEP,
        "v_ledger_check": LEDGER_CHECK,
    }
)


def view_text(name: str, dialect: str) -> str:
    """Build the statement that creates a view on a database."""
    return f"CREATE VIEW {name} AS {spell(VIEWS[name], dialect).strip()}"
