"""A history as it was at an instant: a history that holds only what was known by then.

It copies the rows and leaves out all later ones, so code that reads on finds nothing.
"""

from dataclasses import replace
from datetime import datetime

from bot.adapters.history.bar_columns import Columns, columns_from
from bot.adapters.history.folder import History, HistoryArchive, Records
from bot.adapters.history.reader import micros


def cut_history(history: History, at: datetime) -> History:
    """Build a history of the bars that closed and the rows that were known by an instant."""
    whole = history.archive
    columns = {token_id: _cut_columns(one, at) for token_id, one in whole.columns.items()}
    inner = {
        token_id: tuple(_cut_columns(one, at) for one in several)
        for token_id, several in whole.inner.items()
    }
    records = Records(
        episodes=whole.records.episodes.cut_at(at),
        levels=whole.records.levels.cut_at(at),
        quantmetrics=whole.records.quantmetrics.cut_at(at),
        grades=whole.records.grades.cut_at(at),
        market=whole.records.market.cut_at(at),
    )
    return replace(
        history,
        archive=HistoryArchive(whole.instruments, columns, records, inner),
        bars=sum(len(one.opened_at) for one in columns.values()),
        closes=tuple(close for close in history.closes if close <= at),
        ends_at=min(history.ends_at, at),
    )


def _cut_columns(columns: Columns, at: datetime) -> Columns:
    """Copy the rows that closed by an instant; a slice would still reference the later ones."""
    count = columns.count_closed(micros(at))
    opened_at, prices = columns.opened_at[:count].copy(), columns.prices[:, :count].copy()
    return columns_from(
        columns.span, opened_at, prices, columns.volumes[:count].copy(), columns.refused
    )
