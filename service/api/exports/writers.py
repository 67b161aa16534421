"""Tables as JSON lines, CSV or Parquet, written page by page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any

Row = dict[str, Any]
Column = tuple[str, type]


class Format(StrEnum):
    """File formats of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def write_table(
    pages: Iterable[Sequence[Row]], columns: Sequence[Column], format: Format
) -> Iterator[bytes]:
    """Yield the bytes of a table, page by page.

    Args:
        pages: the rows; each has all columns. Nested values become JSON text, except in JSON
            lines.
        columns: names and types (str, int, float, bool), in order.
        format: the format to write.
    """
    writers: dict[Format, Callable[..., Iterator[bytes]]] = {
        Format.JSONL: _jsonl,
        Format.CSV: _csv,
        Format.PARQUET: _parquet,
    }
    return writers[format](pages, columns)


def _jsonl(pages: Iterable[Sequence[Row]], _columns: Sequence[Column]) -> Iterator[bytes]:
    for page in pages:
        yield "".join(json.dumps(row) + "\n" for row in page).encode()


def _csv(pages: Iterable[Sequence[Row]], columns: Sequence[Column]) -> Iterator[bytes]:
    names = [name for name, _ in columns]
    yield (",".join(names) + "\n").encode()
    for page in pages:
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writerows(_flat(row) for row in page)
        yield text.getvalue().encode()


def _parquet(pages: Iterable[Sequence[Row]], columns: Sequence[Column]) -> Iterator[bytes]:
    import pyarrow  # lazy: most API processes never write Parquet
    import pyarrow.parquet  # lazy: the same

    types = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns])
    sink = _Drain()
    with pyarrow.parquet.ParquetWriter(sink, schema) as writer:
        for page in pages:
            rows = [_flat(row) for row in page]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            yield sink.drained()
    yield sink.drained()


def _flat(row: Row) -> Row:
    return {
        name: json.dumps(value) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }


class _Drain(io.RawIOBase):
    """A file that keeps only the bytes that were not drained yet; its position counts all."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def drained(self) -> bytes:
        """Return the bytes that were written since the last call."""
        parts, self._parts = b"".join(self._parts), []
        return parts
