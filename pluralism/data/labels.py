"""Ids and texts: one rule that turns a column into exact, non-empty UTF-8 strings.

Integers become decimal strings, and so do integral floats (what pandas makes of integers beside a null). Strings are
kept byte for byte: no case folding, no trimming, no Unicode normalisation, so that NFC and NFD forms are two ids.
Null, NaN, empty strings and lone surrogates are faults of their row; a column that holds both 1 and "1" is ambiguous
and refused as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32

from pluralism.data.faults import FaultLog
from pluralism.data.sources import RawColumn, raw_column
from pluralism.errors import DataError

__all__ = [
    "clean_labels",
    "clean_texts",
    "distinct_labels",
    "encode_labels",
    "label_codes",
    "null_mask",
    "string_column",
]

_EXACT_FLOAT = 2.0**53


def string_column(values: Any, name: str) -> pa.LargeStringArray:
    """Apply the rule to values given in code; the first bad one raises `DataError`."""
    if isinstance(values, pa.LargeStringArray) and values.null_count == 0 and _all_filled(values):
        return values
    raw = raw_column(values)
    log = FaultLog(f"argument {name!r}", len(raw))
    strings = clean_labels(raw, log, name)
    log.settle()
    return strings


def distinct_labels(values: Any, name: str) -> pa.LargeStringArray:
    """Apply the rule to values given in code that must be distinct, such as ids of items or labels of users."""
    strings = string_column(values, name)
    codes, distinct = encode_labels(strings)
    if len(distinct) != len(strings):
        repeated = distinct[int(np.argmax(np.bincount(codes) > 1))].as_py()
        raise DataError(f"{repeated!r} occurs more than once in {name!r}.", fix="Give each of them a label of its own.")
    return strings


def clean_labels(raw: RawColumn, log: FaultLog, name: str, *, nullable: bool = False) -> pa.LargeStringArray:
    """Apply the rule to a column.

    Parameters
    ----------
    raw : RawColumn
        The column as it was read.
    log : FaultLog
        Where bad rows are noted.
    name : str
        Name of the column, for messages.
    nullable : bool
        Whether null and empty values stand for "not given" instead of being faults.

    Returns
    -------
    pyarrow.LargeStringArray
        One string a row; null where the row is faulty or, if `nullable`, not given.
    """
    strings = _from_objects(raw, log, name) if isinstance(raw, list) else _from_arrow(raw, log, name)
    known_bad = ~log.good
    empty = np.asarray(pc.fill_null(pc.equal(pc.binary_length(strings), 0), True)).astype(bool)
    if nullable:
        return pc.if_else(pa.array(empty), pa.scalar(None, pa.large_string()), strings)
    missing = empty & ~(known_bad & null_mask(strings))
    log.add(
        missing,
        "missing values",
        name,
        f"Column {name!r} has empty cells.",
        f"Fill in {name!r} or remove these rows.",
    )
    return strings


def clean_texts(raw: RawColumn, log: FaultLog, name: str) -> pa.LargeStringArray:
    """Column of texts; texts of nothing but white space are faults of their row."""
    strings = clean_labels(raw, log, name)
    blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(strings)), 0)
    filled = pc.and_(pc.fill_null(blank, False), pc.fill_null(pc.greater(pc.binary_length(strings), 0), False))
    log.add(
        np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool),
        "empty texts",
        name,
        f"Column {name!r} has texts of nothing but white space.",
        "Fill in the text, or remove these rows.",
    )
    return strings


def encode_labels(labels: pa.LargeStringArray) -> tuple[Int32[np.ndarray, " rows"], pa.LargeStringArray]:
    """Give codes in order of first appearance, -1 for null, and the distinct labels."""
    encoded = labels.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return codes, encoded.dictionary


def label_codes(labels: pa.LargeStringArray, vocabulary: pa.LargeStringArray) -> Int32[np.ndarray, " rows"]:
    """Codes of labels in a given vocabulary; -1 where unknown or null."""
    found = pc.index_in(labels, value_set=vocabulary, skip_nulls=True)
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)


def null_mask(array: pa.Array) -> Bool[np.ndarray, " rows"]:
    """Mask of the null values."""
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def _all_filled(values: pa.LargeStringArray) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return len(values) == 0 or bool(pc.min(pc.binary_length(values)).as_py() > 0)


def _from_arrow(raw: pa.ChunkedArray, log: FaultLog, name: str) -> pa.LargeStringArray:
    kind = raw.type
    if isinstance(kind, pa.DictionaryType):
        raw, kind = raw.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _valid_utf8(_flat(raw.cast(pa.large_string())), log, name)
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return _flat(raw.cast(pa.large_string()))
    if pa.types.is_floating(kind):
        return _from_floats(_flat(raw.cast(pa.float64())), log, name)
    if pa.types.is_null(kind):
        return pa.nulls(len(raw), pa.large_string())
    raise DataError(
        f"Column {name!r} holds values of type {kind}, which are neither texts nor ids.",
        where=f"{log.source}, column {name!r}",
        fix="Convert the column to strings or integers before reading it.",
    )


def _from_floats(values: pa.DoubleArray, log: FaultLog, name: str) -> pa.LargeStringArray:
    numbers = values.to_numpy(zero_copy_only=False)
    given = ~np.isnan(numbers)
    exact = given & (np.abs(numbers) <= _EXACT_FLOAT)
    exact[exact] = numbers[exact] == np.floor(numbers[exact])
    log.add(
        given & ~exact,
        "ids",
        name,
        f"Column {name!r} must hold texts, or ids that are strings or integers.",
        "Store ids as integers or as strings.",
        lambda row: numbers[row],
    )
    whole = pa.array(np.where(exact, numbers, 0).astype(np.int64)).cast(pa.large_string())
    return pc.if_else(pa.array(exact), whole, pa.scalar(None, pa.large_string()))


def _valid_utf8(strings: pa.LargeStringArray, log: FaultLog, name: str) -> pa.LargeStringArray:
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        raw = strings.view(pa.large_binary()).to_pylist()
        bad = np.array([value is not None and not _is_utf8(value) for value in raw], dtype=bool)
        _log_undecodable(bad, log, name)
        return pa.array(
            [None if wrong or value is None else value.decode() for value, wrong in zip(raw, bad, strict=True)],
            pa.large_string(),
        )
    return strings


def _from_objects(objects: list[Any], log: FaultLog, name: str) -> pa.LargeStringArray:
    words: list[str | None] = []
    as_text: set[str] = set()
    as_number: set[str] = set()
    wrong, undecodable = [], []
    for row, value in enumerate(objects):
        word: str | None = None
        if value is None or (isinstance(value, float) and value != value):
            pass
        elif isinstance(value, str):
            if _is_encodable(value):
                word = str(value)
                as_text.add(word)
            else:
                undecodable.append(row)
        elif isinstance(value, (bool, np.bool_)):
            wrong.append(row)
        elif isinstance(value, (int, np.integer)) or _is_whole(value):
            word = str(int(value))
            as_number.add(word)
        else:
            wrong.append(row)
        words.append(word)
    both = as_text & as_number
    if both:
        example = min(both)
        raise DataError(
            f"Column {name!r} holds both the number {example} and the string {example!r}: are they one id or two?",
            where=f"{log.source}, column {name!r}",
            fix=f"Make the column one type, for instance frame[{name!r}] = frame[{name!r}].astype(str).",
        )
    log.add(
        np.array(wrong, dtype=np.int64),
        "ids",
        name,
        f"Column {name!r} must hold texts, or ids that are strings or integers.",
        "Convert the column to strings or integers before reading it.",
        lambda row: repr(objects[row]),
    )
    _log_undecodable(np.array(undecodable, dtype=np.int64), log, name)
    return pa.array(words, pa.large_string())


def _log_undecodable(bad: np.ndarray, log: FaultLog, name: str) -> None:
    log.add(
        bad,
        "unicode",
        name,
        f"Column {name!r} is not valid Unicode: undecodable bytes or a lone surrogate.",
        "Decode the source with its right encoding, or remove the damaged characters.",
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, (float, np.floating)) and float(value).is_integer() and abs(float(value)) <= _EXACT_FLOAT


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _flat(chunked: pa.ChunkedArray) -> pa.Array:
    if chunked.num_chunks == 1:
        return chunked.chunk(0)
    return pa.concat_arrays(chunked.chunks) if chunked.num_chunks else pa.array([], chunked.type)
