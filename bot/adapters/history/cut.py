"""A history as it was at an instant: a history of its own that holds nothing which was not known by then.

What is left out is not there at all, so whatever reads on past the instant finds nothing.
"""

from dataclasses import replace
from datetime import datetime

from bot.adapters.history.bar_columns import Columns, columns_from
from bot.adapters.history.folder import History, HistoryArchive, Records
from bot.adapters.history.reader import micros


def cut_history(history: History, at: datetime) -> History:
    """Return a history of the bars closed and the rows known by an instant."""
    whole = history.archive
    columns = {token_id: _cut_columns(one, at) for token_id, one in whole.columns.items()}
    inner = {token_id: tuple(_cut_columns(one, at) for one in several) for token_id, several in whole.inner.items()}
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
    """Copy the rows: a slice would still have the others behind it."""
    count = columns.count_closed(micros(at))
    opened_at, prices = columns.opened_at[:count].copy(), columns.prices[:, :count].copy()
    return columns_from(columns.span, opened_at, prices, columns.volumes[:count].copy(), columns.refused)
