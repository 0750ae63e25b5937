"""The rows of a CSV or Parquet file, as the cells that a CSV file of these rows holds.

So each check of a cell exists once. A number is exactly what its column says: a decimal digit for
digit, a float by the shortest digits that name it. pyarrow is imported only when it is needed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.adapters.history.reader import PARQUET, Rows, SourceFile, csv_rows, fault_of
from bot.domain.errors import BadInputError
from bot.domain.extras import missing_extra
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.numbers import plain

BATCH_ROWS = 1 << 16


def rows(file: SourceFile, required: Sequence[str], optional: Sequence[str] = ()) -> Rows:
    """Yield the number and the cells of each row of a CSV or Parquet file.

    The cells are in the order of required and optional; the cell of an absent column is empty.
    """
    read = _parquet_rows if file.path.suffix == PARQUET else csv_rows
    return read(file, required, optional)


def _parquet_rows(file: SourceFile, required: Sequence[str], optional: Sequence[str]) -> Rows:
    with _open(file, required, optional) as (table, names):
        done = 0
        for batch in table.iter_batches(BATCH_ROWS, columns=names):
            absent = [""] * batch.num_rows
            columns = [
                _cells(batch.column(name)) if name in names else absent for name in (*required, *optional)
            ]
            yield from enumerate(zip(*columns, strict=True), done + 1)
            done += batch.num_rows


def parquet_arrays(
    file: SourceFile, required: Sequence[str], optional: Sequence[str]
) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Read a first column of instants, in microseconds since 1970, and columns of floats.

    Raises ValueError when a column has another type or an empty cell.
    """
    with _open(file, required, optional) as (table, names):
        from pyarrow import types  # noqa: PLC0415 - as above

        columns = table.read(names)
        stamps, *figures = (columns.column(name) for name in names)
        plainly = (types.is_float64(one.type) or types.is_integer(one.type) for one in figures)
        if (
            not types.is_timestamp(stamps.type)
            or any(one.null_count for one in columns.columns)
            or not all(plainly)
        ):
            raise ValueError
        return _micros(stamps).to_numpy(), [one.to_numpy().astype(np.float64) for one in figures]


def parquet_tail(
    file: SourceFile, required: Sequence[str], optional: Sequence[str], count: int
) -> list[Sequence[str]]:
    """Read the names of the columns, and the cells of the last rows from the last row group."""
    with _open(file, required, optional) as (table, names):
        groups = range(table.num_row_groups)
        filled = [place for place in groups if table.metadata.row_group(place).num_rows]
        last = table.read_row_groups(filled[-1:], columns=names)
        last = last.slice(max(last.num_rows - count, 0))
        return [names, *zip(*(_cells(last.column(name)) for name in names), strict=True)]


@contextmanager
def _open(
    file: SourceFile, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[Any, list[str]]]:
    """Open a file and find the names that it has of these columns.

    Raises BadInputError when it cannot be read or lacks a required column.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to load
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra(str(file.path), "parquet") from error
    try:
        with parquet.ParquetFile(pa.BufferReader(file.content)) as table:
            if fault := fault_of(table.schema_arrow.names, required, optional):
                raise BadInputError(f"{file.path}: {fault}")
            yield table, [n for n in (*required, *optional) if n in table.schema_arrow.names]
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(
            f"{file.path}: cannot be read as Parquet ({' '.join(str(error).split())}): write it again"
        ) from error


def _micros(stamps: Any) -> Any:
    """Convert instants to microseconds since 1970; cut off finer parts, as for CSV."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    return stamps.cast(pa.timestamp("us", stamps.type.tz), safe=stamps.type.unit != "ns").cast(pa.int64())


def _cells(column: Any) -> list[str]:
    """Write the values of a column as cells."""
    from pyarrow import types  # noqa: PLC0415 - as above

    if types.is_timestamp(column.type):
        instants = _micros(column).to_pylist()
        return ["" if value is None else _stamp(value) for value in instants]
    values = column.to_pylist()
    if types.is_float32(column.type):  # Python floats would show more digits than the file has
        values = [None if value is None else np.float32(value) for value in values]
    write: Callable[[Any], str] = plain if types.is_decimal(column.type) else str
    return ["" if value is None else write(value) for value in values]


def _stamp(micros: int) -> str:
    try:
        return (EPOCH + micros * MICROSECOND).isoformat()
    except OverflowError:
        return str(micros)
