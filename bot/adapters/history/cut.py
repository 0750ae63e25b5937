"""A history as it was at an instant: a history that holds only what was known by then.

It copies the rows and leaves out all later ones, so code that reads on finds nothing.
"""

from dataclasses import replace
from datetime import datetime

from bot.adapters.history.blocks import cut_blocks
from bot.adapters.history.folder import History, HistoryArchive
from bot.adapters.history.reader import micros


def cut_history(history: History, at: datetime) -> History:
    """Build a history of the bars that closed and the rows that were known by an instant."""
    whole, end = history.archive, micros(at)
    columns = {token_id: one.cut_at(end) for token_id, one in whole.columns.items()}
    inner = {token_id: tuple(one.cut_at(end) for one in several) for token_id, several in whole.inner.items()}
    dated = {name: cut_blocks(blocks, end) for name, blocks in whole.dated.items()}
    return replace(
        history,
        archive=HistoryArchive(whole.instruments, columns, dated, inner),
        closes=tuple(close for close in history.closes if close <= at),
        ends_at=min(history.ends_at, at),
    )
