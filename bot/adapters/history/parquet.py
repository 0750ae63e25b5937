"""The columns of a Parquet file, as the cells that a CSV file of the same rows would hold.

A number is exactly what its column says: a decimal digit for digit, a float by the shortest digits
that name it. pyarrow is imported only when it is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.adapters.history.reader import Rows, SourceFile, fault_of
from bot.domain.errors import BadInputError
from bot.domain.extras import missing_extra
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.numbers import plain

BATCH_ROWS = 1 << 16


def parquet_rows(file: SourceFile, required: Sequence[str], optional: Sequence[str] = ()) -> Rows:
    """Yield the number (from 1) and the cells of each row, as `csv_rows` does."""
    with _open(file, required, optional) as table:
        wanted = (*required, *optional)
        names = [name for name in wanted if name in table.schema_arrow.names]
        done = 0
        for batch in table.iter_batches(BATCH_ROWS, columns=names):
            absent = [""] * batch.num_rows
            columns = [_cells(batch.column(name)) if name in names else absent for name in wanted]
            yield from enumerate(zip(*columns, strict=True), done + 1)
            done += batch.num_rows


def parquet_arrays(
    file: SourceFile, time: str, numbers: Sequence[str]
) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Read a column of instants, in microseconds since 1970, and columns of floats.

    Raises ValueError when a column has another type or an empty cell.
    """
    with _open(file, (time, *numbers)) as table:
        from pyarrow import types  # noqa: PLC0415 - as above

        columns = table.read([time, *numbers])
        stamps, *figures = (columns.column(name) for name in (time, *numbers))
        plainly = (types.is_float64(one.type) or types.is_integer(one.type) for one in figures)
        if (
            not types.is_timestamp(stamps.type)
            or any(one.null_count for one in (stamps, *figures))
            or not all(plainly)
        ):
            raise ValueError
        return _micros(stamps).to_numpy(), [one.to_numpy().astype(np.float64) for one in figures]


def parquet_tail(
    file: SourceFile, required: Sequence[str], optional: Sequence[str], count: int
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Read the names of the columns and the cells of the last rows, from the last row group."""
    with _open(file, required, optional) as table:
        names = [name for name in (*required, *optional) if name in table.schema_arrow.names]
        groups = [
            place
            for place in range(table.num_row_groups)
            if table.metadata.row_group(place).num_rows
        ]
        if not groups:
            return names, []
        last = table.read_row_group(groups[-1], columns=names)
        last = last.slice(max(last.num_rows - count, 0)).combine_chunks()
        columns = [_cells(last.column(name).combine_chunks()) for name in names]
        return names, list(zip(*columns, strict=True))


def columns_of(file: SourceFile, optional: Sequence[str]) -> frozenset[str]:
    """Read the names of a file's columns; optional: those that may be absent."""
    with _open(file, (), optional) as table:
        return frozenset(table.schema_arrow.names)


@contextmanager
def _open(file: SourceFile, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Any]:
    """Open a file and check its columns; raises BadInputError when they cannot be read."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to load
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra(str(file.path), "parquet") from error
    try:
        with parquet.ParquetFile(pa.BufferReader(file.content)) as table:
            fault = fault_of(table.schema_arrow.names, required, optional)
            if fault:
                raise BadInputError(f"{file.path}: {fault}")
            yield table
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(
            f"{file.path}: cannot be read as Parquet ({' '.join(str(error).split())}): "
            "write it again"
        ) from error


def _micros(stamps: Any) -> Any:
    """Convert instants to microseconds since 1970; cut off finer parts, as for CSV."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    return stamps.cast(pa.timestamp("us", stamps.type.tz), safe=stamps.type.unit != "ns").cast(
        pa.int64()
    )


def _cells(column: Any) -> list[str]:
    """Write the values of a column as cells."""
    from pyarrow import types  # noqa: PLC0415 - as above

    kind = column.type
    if types.is_timestamp(kind):
        return [_stamp(value) for value in _micros(column).to_pylist()]
    if types.is_float32(kind):  # Python floats would show more digits than the file has
        given = zip(
            column.is_valid().to_pylist(), column.to_numpy(zero_copy_only=False), strict=True
        )
        return [str(value) if there else "" for there, value in given]
    return ["" if value is None else _cell(value) for value in column.to_pylist()]


def _stamp(micros: int | None) -> str:
    if micros is None:
        return ""
    try:
        return (EPOCH + micros * MICROSECOND).isoformat()
    except OverflowError:
        return str(micros)


def _cell(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
