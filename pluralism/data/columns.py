"""Columns of the file contracts: which there must be, which were probably meant, and how cells become numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64

from pluralism.data.faults import FaultLog
from pluralism.data.labels import clean_labels, encode_labels, null_mask
from pluralism.data.sources import RawColumn, Source
from pluralism.data.validate import bad_range, likely_misspellings, not_numbers, number_faults, to_numbers
from pluralism.errors import DataError, DataWarning

__all__ = [
    "covariate_names",
    "number_column",
    "optional_numbers",
    "outcome_column",
    "plain_column",
    "require_columns",
    "time_column",
    "warn_of_misspellings",
]

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "user": (
        "user_id",
        "annotator",
        "annotator_id",
        "rater",
        "rater_id",
        "worker",
        "worker_id",
        "participant",
        "voter",
    ),
    "left": ("a", "text_a", "response_a", "option_a", "item_a", "left_text", "response_1", "text1"),
    "right": ("b", "text_b", "response_b", "option_b", "item_b", "right_text", "response_2", "text2"),
    "outcome": ("label", "choice", "preference", "winner", "preferred", "judgement", "judgment"),
    "item": ("item_id", "text", "statement", "comment", "comment_id", "response", "left"),
    "value": ("rating", "score", "vote", "label", "answer"),
    "id": ("item_id", "text_id", "key"),
    "rank": ("position", "place", "order"),
}
_WORDS = {"left": "1", "right": "0", "tie": "0.5"}


def require_columns(
    source: Source, names: Sequence[str], contract: str, *, fixes: Mapping[str, str] | None = None
) -> None:
    """Refuse a table that lacks one of the columns, naming the column that was probably meant."""
    missing = [name for name in names if name not in source]
    if not missing:
        return
    meant = {right: wrong for wrong, right in likely_misspellings(source.columns, names).items()}
    for name in missing:
        alias = next((a for a in _ALIASES.get(name, ()) if a in source), None)
        if name not in meant and alias is not None:
            meant[name] = alias
    hints = [f"did you mean {meant[name]!r} for {name!r}?" for name in missing if name in meant]
    renames = {name: meant[name] for name in missing if name in meant}
    remedies = [fix for name, fix in (fixes or {}).items() if name in missing and name not in renames]
    if renames:
        named = " and ".join(f"{wrong!r} to {name!r}" for name, wrong in renames.items())
        remedies.insert(0, f"Rename {named}, or pass columns={renames}.")
    raise DataError(
        f"The column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))} "
        f"{'are' if len(missing) > 1 else 'is'} missing{': ' + ' '.join(hints) if hints else '.'}",
        where=f"{source.name}; columns: {', '.join(map(repr, source.columns)) or '(none)'}",
        fix=" ".join(remedies) or contract,
    )


def warn_of_misspellings(source: Source, known: Sequence[str]) -> None:
    """Warn of columns that will not be read but are spelt almost like one that would be."""
    for wrong, right in likely_misspellings(source.columns, known).items():
        warnings.warn(
            f"{source.name}: the column {wrong!r} is not read; if it is the {right!r} of the contract, rename it or "
            f"pass columns={{{right!r}: {wrong!r}}}.",
            DataWarning,
            stacklevel=2,
        )


def plain_column(raw: RawColumn) -> pa.ChunkedArray:
    """A column of plain Arrow type: dictionaries are decoded, mixed objects become texts."""
    if isinstance(raw, list):
        plain = (int(value) if isinstance(value, bool) else value for value in raw)
        given = (None if value is None else str(value) for value in plain)
        words = [None if word is None else word.encode(errors="replace").decode() for word in given]
        return pa.chunked_array([pa.array(words, pa.large_string())])
    if isinstance(raw.type, pa.DictionaryType):
        return raw.cast(raw.type.value_type)
    if pa.types.is_string_view(raw.type):
        return raw.cast(pa.large_string())
    if pa.types.is_null(raw.type):
        return raw.cast(pa.float64())
    return raw


def number_column(
    source: Source, name: str, log: FaultLog, *, low: float = -np.inf, high: float = np.inf
) -> Float64[np.ndarray, " rows"]:
    """Finite numbers in [low, high], from numbers, booleans or texts; anything else is a fault of its row."""
    values, faults = number_faults(plain_column(source[name]), name, low=low, high=high)
    log.note(*faults)
    return values


def optional_numbers(
    source: Source, name: str, log: FaultLog, *, low: float = -np.inf
) -> Float64[np.ndarray, " rows"] | None:
    """As `number_column`, with NaN for empty cells; None where there is no such column, or nothing in it."""
    if name not in source:
        return None
    column = plain_column(source[name])
    values = to_numbers(column)
    log.note(not_numbers(column, name), bad_range(values, name, low=low, high=np.inf))
    return None if column.null_count == len(column) > 0 else values


def outcome_column(source: Source, name: str, log: FaultLog) -> Float64[np.ndarray, " rows"]:
    """Outcomes in [0, 1], or the words left (1), right (0) and tie (0.5)."""
    column = plain_column(source[name])
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        for word, number in _WORDS.items():
            column = pc.if_else(pc.fill_null(pc.equal(plain, word), False), pa.scalar(number, column.type), column)
    values, faults = number_faults(column, name, low=0, high=1)
    log.note(*faults)
    return values


def time_column(source: Source, name: str, log: FaultLog) -> np.ndarray | None:
    """Times as float64, or datetime64 in UTC from dates, datetimes and ISO 8601 texts; NaN or NaT for empty cells."""
    if name not in source:
        return None
    column = plain_column(source[name])
    if column.null_count == len(column) > 0:
        return None
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = column if pa.types.is_timestamp(kind) else column.cast(pa.timestamp("s"))
        return np.asarray(stamps.cast(pa.timestamp(stamps.type.unit)).to_numpy())
    unreadable = not_numbers(column, name)
    if unreadable is None:
        values = to_numbers(column)
        log.note(bad_range(values, name, low=-np.inf, high=np.inf))
        return values
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        log.note(unreadable)
        return np.full(len(column), np.nan)
    return _parsed_times(column, name, log)


def _parsed_times(column: pa.ChunkedArray, name: str, log: FaultLog) -> np.ndarray:
    codes, distinct = encode_labels(clean_labels(column, log, name, nullable=True))
    words = distinct.to_pylist()
    stamps = np.array(["NaT"] * (len(words) + 1), dtype="datetime64[us]")
    for row, word in enumerate(words):
        if word is not None:
            stamps[row] = _moment(word)
    bad = np.isnat(stamps[:-1]) & ~null_mask(distinct)
    log.add(
        np.append(bad, False)[codes],
        "times",
        name,
        f"Column {name!r} must hold numbers, or dates and times such as 2024-05-31T12:00:00Z.",
        f"Write {name!r} in ISO 8601, or leave the cell empty.",
        lambda row: words[int(codes[row])],
    )
    return stamps[codes]


def _moment(word: str) -> np.datetime64:
    try:
        moment = datetime.fromisoformat(word.strip())
    except ValueError:
        return np.datetime64("NaT", "us")
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "us")


def covariate_names(names: Iterable[str]) -> list[str]:
    """Names x of the columns "left.x" and "right.x", in order of appearance."""
    found = (name.split(".", 1) for name in names if name.startswith(("left.", "right.")))
    return list(dict.fromkeys(rest for _, rest in found if rest))
