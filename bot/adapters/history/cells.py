"""The rows of any file of a history folder, CSV or Parquet, as cells of text.

Both formats give the same cells, so that each check of a cell exists once.
"""

from collections.abc import Sequence

from bot.adapters.history.parquet import parquet_rows
from bot.adapters.history.reader import PARQUET, Rows, SourceFile, csv_rows


def rows(file: SourceFile, required: Sequence[str], optional: Sequence[str] = ()) -> Rows:
    """Yield the number and the cells of each row, in the order of required and optional.

    The cell of an absent column is empty.
    """
    read = parquet_rows if file.path.suffix == PARQUET else csv_rows
    return read(file, required, optional)
