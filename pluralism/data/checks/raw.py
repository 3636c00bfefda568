"""Raw tables: all faults of all columns in one report, and then the checks of the rows that are left.

Where a column is missing, the others are checked all the same: a column that is probably misspelt is read under its
right name, and any other is filled with values that can do no harm, while the checks that need it are not tested.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pluralism.data.checks.columns import missing_columns, misspelt_columns
from pluralism.data.checks.comparisons import NEEDING_OUTCOMES, comparison_checks
from pluralism.data.checks.faults import COMPARISON_FAULTS, RANKING_FAULTS, RATING_FAULTS, fault_checks, good_rows
from pluralism.data.checks.rankings import RankingView, ranking_checks
from pluralism.data.checks.ratings import RatingView, rating_checks
from pluralism.data.checks.view import View
from pluralism.data.comparison_columns import CONTRACT, comparisons_from_source
from pluralism.data.item_columns import resolve_items
from pluralism.data.items import Items
from pluralism.data.ranking_columns import rankings_from_source
from pluralism.data.rating_columns import ratings_from_source
from pluralism.data.report import Check, DataReport, tell
from pluralism.data.sources import Source
from pluralism.data.validate import likely_misspellings
from pluralism.errors import DataError, DataWarning

__all__ = ["Given", "raw_report", "some_rows", "unreadable_report"]


@dataclass(frozen=True)
class Given:
    """What the user passed beside the table; see `Comparisons.read`."""

    items: str | Path | Items | None = None
    features: str | Path | np.ndarray | None = None
    columns: Mapping[str, str] | None = None
    user: str | None = None
    texts: bool | None = None


@dataclass(frozen=True)
class _Contract:
    subject: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    meaning: str
    item_columns: tuple[str, ...]
    passed: Mapping[str, str]
    read: Callable[..., Any]


_RATINGS = _Contract(
    "ratings",
    ("user", "item", "value"),
    ("attribute", "prompt", "weight", "group", "time"),
    "Ratings have the columns user, item, value, and optionally attribute, prompt, weight, group, time.",
    ("item",),
    RATING_FAULTS,
    ratings_from_source,
)
_RANKINGS = _Contract(
    "rankings",
    ("user", "item", "rank"),
    ("ballot", "prompt", "weight", "group"),
    "Rankings have the columns user, item, rank, or user, ranking; and optionally ballot, weight, group, prompt.",
    ("item",),
    RANKING_FAULTS,
    rankings_from_source,
)
_COMPARISONS = _Contract(
    "comparisons",
    ("user", "left", "right", "outcome"),
    ("prompt", "weight", "group", "time", "source", "strength"),
    CONTRACT,
    ("left", "right"),
    COMPARISON_FAULTS,
    comparisons_from_source,
)


def raw_report(source: Source, kind: str, given: Given) -> DataReport:
    """Check a raw table of the given kind."""
    items, item_check = _known_items(given)
    checks = [Check("file", "error", True, f"{source.name} can be read: {tell(source.n_rows, 'row')}."), item_check]
    try:
        source = source.renamed(given.columns)
    except DataError as error:
        checks.append(Check("columns", "error", False, error.what, count=1, fix=error.fix or ""))
        return _report(source, _contract(source, kind), checks, why="the columns cannot be found")
    contract = _contract(source, kind)
    needed = tuple(name for name in contract.needed if name != "user" or given.user is None)
    mixed = _mixed_layouts(source, contract)
    checks.append(mixed or missing_columns(source, needed, contract.meaning))
    checks.append(misspelt_columns(source, (*contract.needed, *contract.optional)))
    if mixed is not None:
        return _report(source, contract, checks, why="there are columns of two layouts")

    absent = [name for name in needed if name not in source]
    meant = {right: wrong for wrong, right in likely_misspellings(source.columns, needed).items()}
    source = source.renamed({name: meant[name] for name in absent if name in meant})
    filled = [name for name in absent if name not in meant]
    if filled and contract.subject == "rankings":
        return _report(source, contract, checks, why=f"there is no column {filled[0]!r}")
    no_items = [name for name in filled if name in contract.item_columns]
    source = _fill(source, filled)
    options: dict[str, Any] = {"texts": True if no_items else given.texts}
    if contract.subject == "comparisons":
        options["user"] = given.user
    try:
        with warnings.catch_warnings():
            # All that is warned of while reading is a check of this report.
            warnings.simplefilter("ignore", DataWarning)
            data = contract.read(source, items=None if no_items else items, strict=False, **options)
    except DataError as error:
        checks.append(Check("column types", "error", False, error.what, count=1, fix=error.fix or ""))
        return _report(source, contract, checks, why="the columns cannot be read")
    checks.append(Check("column types", "error", True, "All columns have usable types."))
    faults = [fault for fault in data.faults if fault.column not in filled]
    texts = contract.item_columns if data.items.texts is not None and items is None else ()
    checks += fault_checks(faults, contract.passed, source.n_rows, text_columns=texts)
    checks.append(some_rows(len(data), n_read=source.n_rows))
    why = f"there is no column {no_items[0]!r}" if no_items else "there are no rows"
    view = None if no_items or len(data) == 0 else data
    checks += _data_checks(contract, view, good_rows(data.faults, source.n_rows), filled, why)
    return DataReport(contract.subject, source.n_rows, tuple(checks), source.name)


def unreadable_report(kind: str, name: str, error: DataError) -> DataReport:
    """The report of a file that cannot be read at all."""
    sample = ({"place": error.where},) if error.where else ()
    check = Check("file", "error", False, error.what, count=1, samples=sample, fix=error.fix or "")
    contract = {"ratings": _RATINGS, "rankings": _RANKINGS}.get(kind, _COMPARISONS)
    checks = [check, *_data_checks(contract, None, np.empty(0, dtype=np.int64), (), "the file cannot be read")]
    return DataReport(contract.subject, 0, tuple(checks), name)


def some_rows(n: int, *, n_read: int | None = None) -> Check:
    """Whether there is anything to work with."""
    of = "" if n_read is None or n_read == n else f" of {n_read:,}"
    return Check(
        "rows",
        "error",
        n > 0,
        f"{n:,}{of} rows can be used." if n else f"There are no{' usable' if n_read else ''} rows.",
        count=0 if n else 1,
        fix="Mend the rows named above, or collect data." if n == 0 else "",
    )


def _contract(source: Source, kind: str) -> _Contract:
    if kind == "ratings":
        return _RATINGS
    if kind == "rankings":
        if "ranking" in source:
            return replace(_RANKINGS, needed=("user", "ranking"), item_columns=("ranking",))
        if "user" not in source and "ballot" in source:
            return replace(_RANKINGS, needed=("ballot", "item", "rank"))
        return _RANKINGS
    if "chosen" in source or "rejected" in source:
        needed = ("user", "chosen", "rejected")
        return replace(_COMPARISONS, needed=needed, item_columns=("chosen", "rejected"))
    return _COMPARISONS


def _mixed_layouts(source: Source, contract: _Contract) -> Check | None:
    if "chosen" not in contract.needed:
        return None
    both = [name for name in ("chosen", "rejected", "left", "right", "outcome") if name in source]
    if not {"left", "right", "outcome"} & set(both):
        return None
    return Check(
        "columns",
        "error",
        False,
        f"There are columns of both layouts: {', '.join(map(repr, both))}.",
        count=len(both),
        fix="Keep left, right and outcome, or chosen and rejected, and drop the others.",
    )


def _known_items(given: Given) -> tuple[Items | None, Check]:
    try:
        items = resolve_items(given.items, given.features)
    except DataError as error:
        sample = ({"place": error.where},) if error.where else ()
        return None, Check("items", "error", False, error.what, count=1, samples=sample, fix=error.fix or "")
    if items is None:
        return None, Check("items", "error", True, "None given: the columns hold the texts, or ids.", applies=False)
    return items, Check("items", "error", True, f"The items can be used: {items!r}.")


def _fill(source: Source, names: list[str]) -> Source:
    n = source.n_rows
    columns: dict[str, Any] = dict(source.columns)
    for name in names:
        if name == "user":
            columns[name] = ["all"] * n
        elif name in ("outcome", "value"):
            columns[name] = np.ones(n)
        else:
            columns[name] = [f"{name} of row {row}" for row in range(1, n + 1)]
    filled = Source.of_columns(columns, name=source.name, metadata=source.metadata, lines=source.lines)
    return replace(filled, n_rows=n)


def _data_checks(
    contract: _Contract, data: Any, rows: np.ndarray, filled: list[str] | tuple[str, ...], why: str
) -> list[Check]:
    if contract.subject == "ratings":
        return rating_checks(None if data is None or "value" in filled else RatingView(data, rows), why=why)
    if contract.subject == "rankings":
        numbers = np.arange(1, 1 + (0 if data is None else len(data)))
        return ranking_checks(None if data is None else RankingView(data, numbers), why=why)
    if data is None:
        return comparison_checks(None, why=why)
    view = View(data, rows, ordered="left" in contract.needed, known_users="user" not in filled)
    without = NEEDING_OUTCOMES if "outcome" in filled else ()
    return comparison_checks(view, without=without, why="there is no column 'outcome'")


def _report(source: Source, contract: _Contract, checks: list[Check], *, why: str) -> DataReport:
    rest = _data_checks(contract, None, np.empty(0, dtype=np.int64), (), why)
    return DataReport(contract.subject, source.n_rows, tuple(checks + rest), source.name)
