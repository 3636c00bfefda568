"""Columns that name items: texts with their prompts, ids of given items, or ids of items without texts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32

from pluralism.data.columns import plain_column, require_columns, warn_of_misspellings
from pluralism.data.faults import FaultLog
from pluralism.data.features import open_features
from pluralism.data.items import Items, distinct_texts
from pluralism.data.labels import clean_labels, clean_texts, encode_labels, label_codes, null_mask
from pluralism.data.sources import RawColumn, Source
from pluralism.data.validate import not_numbers, to_numbers
from pluralism.errors import DataError, DataWarning, UsageError

__all__ = ["item_labels", "item_reader", "items_from_source", "resolve_items"]

Resolved = tuple[Items, list[Int32[np.ndarray, " kept"]]]


def resolve_items(items: str | Path | Items | None, features: str | Path | np.ndarray | None) -> Items | None:
    """Items from what the user passed as items= and features=."""
    if items is None:
        if features is not None:
            raise UsageError(
                "features= is given without items=, so there is no telling which row belongs to which text.",
                fix="Pass items= as well: a file with the columns id and text, one row for each row of features.",
            )
        return None
    if not isinstance(items, Items):
        return Items.read(items, features=features)
    return items if features is None else _with_features(items, features)


def items_from_source(source: Source, features: str | Path | np.ndarray | None = None) -> Items:
    """Read the columns `id`, `text`, `prompt` and the numeric covariates."""
    require_columns(source, ("id",), "Items have the columns id and text, and optionally prompt and covariates.")
    warn_of_misspellings(source, ("id", "text", "prompt"))
    log = source.log()
    ids = clean_labels(source["id"], log, "id")
    codes, distinct = encode_labels(ids)
    first = np.full(len(distinct) + 1, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    repeated = (first[codes] != np.arange(len(codes))) & (codes >= 0) & ~null_mask(ids)
    log.add(
        repeated,
        "repeated ids",
        "id",
        "An id occurs more than once.",
        "Give every item its own id, one row each.",
        lambda row: ids[row].as_py(),
    )
    texts = clean_texts(source["text"], log, "text") if "text" in source else None
    prompts = clean_labels(source["prompt"], log, "prompt", nullable=True) if "prompt" in source else None
    log.settle()
    if texts is None and prompts is not None:
        raise DataError("There is a column 'prompt' but none 'text'.", where=source.name, fix="Add a column 'text'.")
    items = Items(ids, texts, prompts, covariates=_covariates(source))
    return items if features is None else _with_features(items, features)


def item_labels(items: Items, as_ids: bool | None) -> tuple[pa.LargeStringArray, str]:
    """What a file says of each item, and whether that is "texts" or "ids"; texts where there are, unless `as_ids`."""
    if as_ids or (as_ids is None and items.texts is None):
        return items.ids, "ids"
    if items.texts is None:
        raise UsageError("These items have no texts.", fix="Pass as_ids=True to write their ids.")
    codes, first = distinct_texts(items.texts, items.prompts)
    again = np.flatnonzero(first[codes] != np.arange(len(items)))
    if len(again):
        pair = [items.ids[int(code)].as_py() for code in (first[codes[again[0]]], again[0])]
        raise UsageError(
            f"{len(again):,} items have the text of another item, so that texts do not tell them apart.",
            where=f"item ids {pair[0]!r} and {pair[1]!r}",
            fix="Write ids with as_ids=True, and the items with items.write(path).",
        )
    return items.texts, "texts"


def item_reader(
    source: Source, names: Sequence[str], items: Items | None, texts: bool | None, log: FaultLog
) -> Callable[[Bool[np.ndarray, " rows"]], Resolved]:
    """Check the columns that name items, and return a function that encodes the rows which turn out to be good.

    Parameters
    ----------
    source : Source
    names : sequence of str
        One column, or two that must differ in each row.
    items : Items, optional
        If given, the columns hold their ids.
    texts : bool, optional
        Without items, whether the columns hold texts; else they hold ids of items without texts. None: ids if the
        file was written so or all columns hold numbers, else texts.
    log : FaultLog
    """
    if items is not None:
        return _given_reader(source, names, items, log)
    if texts is None:
        texts = source.metadata.get("pluralism.items") != "ids" and not all(_is_number(source[name]) for name in names)
    for name in names:
        if texts and _is_list(source[name]):
            raise DataError(
                f"Column {name!r} holds lists, not texts.",
                where=source.name,
                fix="If they are conversations (lists of role and content), read them with Comparisons.from_trl.",
            )
    clean = clean_texts if texts else clean_labels
    columns = [clean(source[name], log, name) for name in names]
    if len(columns) == 2:
        same = pc.fill_null(pc.equal(columns[0], columns[1]), False).to_numpy(zero_copy_only=False)
        _refuse_same(np.asarray(same, dtype=bool), names, log, columns[0])
    prompt = None
    if "prompt" in source:
        if texts:
            prompt = clean_labels(source["prompt"], log, "prompt", nullable=True)
        else:
            _warn_of_prompt(source)

    def encode(good: Bool[np.ndarray, " rows"]) -> Resolved:
        keep = pa.array(good)
        whole = pa.concat_arrays([column.filter(keep) for column in columns])
        n_kept = int(good.sum())
        if not texts:
            codes, distinct = encode_labels(whole)
            return Items(distinct), [codes[start : start + n_kept] for start in _starts(n_kept, len(columns))]
        asked = None if prompt is None else pa.concat_arrays([prompt.filter(keep)] * len(columns))
        codes, first = distinct_texts(whole, asked)
        found = Items.of_distinct(whole.take(first), None if asked is None else asked.take(first))
        return found, [codes[start : start + n_kept] for start in _starts(n_kept, len(columns))]

    return encode


def _given_reader(
    source: Source, names: Sequence[str], items: Items, log: FaultLog
) -> Callable[[Bool[np.ndarray, " rows"]], Resolved]:
    codes = []
    for name in names:
        labels = clean_labels(source[name], log, name)
        code = label_codes(labels, items.ids)
        unknown = (code < 0) & ~null_mask(labels) & (pc.binary_length(labels).fill_null(0).to_numpy() > 0)
        rows = np.flatnonzero(unknown)
        fix = "Add the item to the items, or remove these rows."
        if len(rows) and items.texts is not None and label_codes(labels.take(pa.array(rows[:1])), items.texts)[0] >= 0:
            fix = "The column holds texts, not ids: leave out items=, or write the ids into the column."
        log.add(unknown, "unknown items", name, f"Column {name!r} has ids that no item has.", fix, _shower(labels))
        codes.append(code)
    if len(codes) == 2:
        _refuse_same((codes[0] == codes[1]) & (codes[0] >= 0), names, log, labels)
    if "prompt" in source:
        _warn_of_prompt(source)
    return lambda good: (items, [code[good] for code in codes])


def _shower(labels: pa.LargeStringArray) -> Callable[[int], object]:
    return lambda row: labels[row].as_py()


def _refuse_same(
    same: Bool[np.ndarray, " rows"], names: Sequence[str], log: FaultLog, labels: pa.LargeStringArray
) -> None:
    log.add(
        same,
        "self-comparisons",
        ", ".join(names),
        "Something is compared with itself.",
        f"Remove the rows in which {names[0]!r} and {names[1]!r} are the same.",
        _shower(labels),
    )


def _warn_of_prompt(source: Source) -> None:
    warnings.warn(
        f"{source.name}: the column 'prompt' is not read, because the other columns hold ids of items, which have "
        "their own prompts.",
        DataWarning,
        stacklevel=2,
    )


def _starts(n: int, parts: int) -> list[int]:
    return [n * part for part in range(parts)]


def _is_number(raw: RawColumn) -> bool:
    if isinstance(raw, list):
        return False
    kind = plain_column(raw).type
    return len(raw) > 0 and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_list(raw: RawColumn) -> bool:
    if isinstance(raw, list):
        return any(isinstance(value, list) for value in raw)
    return bool(pa.types.is_nested(raw.type))


def _covariates(source: Source) -> dict[str, np.ndarray]:
    covariates, left_out = {}, []
    for name, raw in source.columns.items():
        if name in ("id", "text", "prompt") or isinstance(raw, list):
            continue
        column = plain_column(raw)
        if not_numbers(column, name) is None:
            values = to_numbers(column)
            if np.isfinite(values).all():
                covariates[name] = values
            else:
                left_out.append(name)
    if left_out:
        warnings.warn(
            f"{source.name}: {', '.join(map(repr, left_out))} cannot be covariates, because some cells are empty or "
            "infinite.",
            DataWarning,
            stacklevel=2,
        )
    return covariates


def _with_features(items: Items, features: str | Path | np.ndarray) -> Items:
    if isinstance(features, np.ndarray):
        return items.with_features(features)
    return items.with_features(open_features(features), where=str(features))
