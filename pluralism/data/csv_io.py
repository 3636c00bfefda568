"""CSV in and out: every cell is read as text, and only the contract's readers turn texts into numbers.

UTF-8 with or without byte order mark, any line ends, quoted line breaks, and gzip. An unquoted empty cell is null, a
quoted one is an empty string. Rows with too many or too few cells, and a quote that is never closed, are errors that
name the line: both would shift or swallow what follows.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluralism.data.sources import Source, refuse_repeated
from pluralism.errors import DataError

__all__ = ["read_csv", "write_csv"]

_BLOCK = 1 << 26
_END = b"\x02end of file\x02"
_MARKS = re.compile(rb'"|\r\n|\n|\r')


def read_csv(path: Path, delimiter: str = ",") -> Source:
    """Read a CSV file; all columns are large strings."""
    import pyarrow.csv

    raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    header = _header(raw, delimiter, path)
    n_columns = len(header)
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "skip"

    def parse(threads: bool) -> pa.Table:
        # The added last row arrives whole unless a quote is still open at the end of the file.
        end = b"\n" + delimiter.encode().join([_END] * n_columns) + b"\n"
        return pyarrow.csv.read_csv(
            pa.BufferReader(raw + end),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=threads, autogenerate_column_names=True, block_size=_BLOCK
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={f"f{k}": pa.large_string() for k in range(n_columns)},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )

    try:
        table = parse(threads=True)
    except pa.ArrowException as error:
        raise DataError(
            f"The file is not valid CSV: {error}", where=str(path), fix="Save it as comma-separated UTF-8 text."
        ) from error
    if ragged:
        # Only a single thread counts rows.
        ragged.clear()
        parse(threads=False)
        _refuse_ragged(ragged[0], len(ragged), n_columns, raw, delimiter, path)
    last = table.slice(table.num_rows - 1).to_pydict()
    if any(values != [_END.decode()] for values in last.values()):
        raise _unclosed(table.num_rows - 1, raw, delimiter, path)
    body = table.slice(1, table.num_rows - 2).rename_columns(header)
    return Source.of_table(body, name=str(path), lines=_Lines(raw, delimiter))


def write_csv(table: pa.Table, path: Path, delimiter: str = ",") -> None:
    """Write a table so that `read_csv` gives its cells back: every text in quotes, null unquoted and empty."""
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(delimiter=delimiter)
    if path.suffix.lower() == ".gz":
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(table, buffer, options)
        path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    else:
        pyarrow.csv.write_csv(table, path, options)


def _refuse_ragged(first: Any, count: int, n_columns: int, raw: bytes, delimiter: str, path: Path) -> None:
    row = first.number - 1
    if _END.decode() in first.text:
        raise _unclosed(row, raw, delimiter, path)
    raise DataError(
        f"{count:,} row{'s do' if count > 1 else ' does'} not have {n_columns} cells as the header does; the first has "
        f"{first.actual_columns}: {first.text[:60]!a}.",
        where=f"{path}, row {row} (line {_Lines(raw, delimiter)([row - 1])[0]} of the file)",
        fix="Put cells that hold commas, quotes or line breaks in double quotes, with inner quotes doubled.",
    )


def _unclosed(row: int, raw: bytes, delimiter: str, path: Path) -> DataError:
    return DataError(
        "A double quote is never closed, so the rest of the file would be read as one cell.",
        where=f"{path}, row {row} (line {_Lines(raw, delimiter)([row - 1])[0]} of the file)",
        fix="Close the quote, or double it if it belongs to the text.",
    )


def _header(raw: bytes, delimiter: str, path: Path) -> list[str]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("The file is UTF-16, not UTF-8.", where=str(path), fix="Save it as CSV in UTF-8.")
    try:
        start = raw[: 1 << 20].decode("utf-8-sig", errors="ignore" if len(raw) > 1 << 20 else "strict")
        names = next((row for row in csv.reader(io.StringIO(start, newline=""), delimiter=delimiter) if row), None)
    except UnicodeDecodeError as error:
        raise DataError(
            f"The file is not UTF-8: {error.reason} (byte {error.start}).",
            where=f"{path}, line {raw[: error.start].count(10) + 1} of the file",
            fix="Save it as CSV in UTF-8.",
        ) from error
    except csv.Error as error:
        raise DataError(f"The header cannot be read: {error}.", where=str(path), fix="Check the first line.") from error
    if names is None:
        raise DataError("The file is empty.", where=str(path), fix="Write a header and one row for each judgement.")
    header = [name.strip() for name in names]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(
            "The cells are not separated by commas.",
            where=f"{path}, line 1",
            fix="Save it with commas, or with tabs as a .tsv file.",
        )
    refuse_repeated((name for name in header if name), str(path))
    return [name or f"(unnamed {position})" for position, name in enumerate(header, 1)]


class _Lines:
    """Finds the line on which a row begins, reading the file again; rows count from 0 after the header."""

    def __init__(self, raw: bytes, delimiter: str) -> None:
        self._raw = raw
        self._before_quote = delimiter.encode() + b'"\xbf'  # also the last byte of a byte order mark

    def __call__(self, rows: Sequence[int]) -> list[int]:
        wanted = {row + 1 for row in rows}
        starts: dict[int, int] = {}
        record, line, quoted, start = 0, 1, False, 0
        begun = 1
        for mark in _MARKS.finditer(self._raw):
            if mark.group() == b'"':
                opens = mark.start() == start or self._raw[mark.start() - 1] in self._before_quote
                quoted = not quoted and opens
                continue
            line += 1
            if quoted:
                continue
            if mark.start() > start:
                if record in wanted:
                    starts[record] = begun
                    if len(starts) == len(wanted):
                        break
                record += 1
            start, begun = mark.end(), line
        for row in wanted - starts.keys():
            starts[row] = begun
        return [starts[row + 1] for row in rows]
