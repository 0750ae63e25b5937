"""The columns of Feather, Arrow and Parquet files as text cells; pyarrow loads only when needed.

A float is written by the shortest digits that name it, a decimal digit for digit.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bot.adapters.candles.cells import Cells, to_cells
from bot.domain.errors import BadInputError
from bot.domain.extras import missing_extra
from bot.domain.numbers import plain

# pandas stores an index without a name under this one.
INDEX = "__index_level_"


def arrow_columns(path: Path, kind: str) -> tuple[tuple[str, ...], list[Cells]]:
    """Read the names and the columns of a file; kind: Feather or Parquet.

    Raises ConfigError without pyarrow, BadInputError for a file that cannot be read.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to load
        from pyarrow import feather, parquet  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra(str(path), "parquet") from error
    try:
        table = (feather.read_table if kind == "Feather" else parquet.read_table)(str(path))
        columns = [_cells_of(column.combine_chunks()) for column in table.columns]
    except pa.ArrowException as error:
        fault = f"cannot be read as {kind} ({' '.join(str(error).split())})"
        raise BadInputError(f"{path}: {fault}: write it again") from error
    names = ("" if name.startswith(INDEX) else name for name in table.column_names)
    return tuple(names), columns


def _cells_of(column: Any) -> Cells:
    import pyarrow as pa  # noqa: PLC0415 - as above

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = column.cast(pa.timestamp("s"), safe=False).to_numpy(zero_copy_only=False)
        texts = np.datetime_as_string(stamps.astype("datetime64[s]")).astype(np.bytes_)
        return np.strings.add(texts, b"Z") if getattr(kind, "tz", None) else texts
    values = column.to_pylist()
    if pa.types.is_float32(kind):  # Python floats would show more digits than the file has
        values = [None if value is None else np.float32(value) for value in values]
    write: Callable[[Any], str] = plain if pa.types.is_decimal(kind) else str
    return to_cells(["" if value is None else write(value) for value in values])
