"""JSON lines in and out: one object a line, UTF-8, perhaps gzipped; numbers and strings keep their types."""

from __future__ import annotations

import gzip
import json
import math
from array import array
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluralism.data.sources import Source
from pluralism.errors import DataError

__all__ = ["read_jsonl", "write_jsonl"]


def read_jsonl(path: Path) -> Source:
    """Read a JSONL file; keys that a line lacks are null there, blank lines are skipped."""
    columns: dict[str, list[Any]] = {}
    lines = array("q")
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = _decoded(line, number, path)
            if not text.strip():
                continue
            record = _parsed(text, number, path)
            for name in record.keys() - columns.keys():
                columns[name] = [None] * len(lines)
            for name, values in columns.items():
                values.append(record.get(name))
            lines.append(number)
    if not lines:
        raise DataError("The file is empty.", where=str(path), fix="Write one JSON object a line.")

    def find(rows: Sequence[int]) -> list[int]:
        return [lines[row] for row in rows]

    return Source.of_columns(columns, name=str(path), lines=find)


def write_jsonl(table: pa.Table, path: Path) -> None:
    """Write one object a row; null and NaN are null, dates are ISO 8601."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "wb") as file:
        for batch in table.to_batches(max_chunksize=1 << 14):
            for record in batch.to_pylist():
                plain = {name: _plain(value) for name, value in record.items()}
                file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _decoded(line: bytes, number: int, path: Path) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"The line is not UTF-8: {error.reason}.",
            where=f"{path}, line {number} of the file",
            fix="Save the file in UTF-8.",
        ) from error


def _parsed(text: str, number: int, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "too deeply nested"
        raise DataError(
            f"The line is not valid JSON: {said}.",
            where=f"{path}, line {number} of the file",
            fix="Write one JSON object a line, such as those of json.dumps(record).",
        ) from error
    if not isinstance(record, dict):
        raise DataError(
            f"The line holds a {type(record).__name__}, not an object.",
            where=f"{path}, line {number} of the file",
            fix='Write one JSON object a line: {"user": "ann", "left": "...", "right": "...", "outcome": 1}',
        )
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value
