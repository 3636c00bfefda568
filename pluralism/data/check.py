"""Data checks: every check is stated, whether it passed or not, with count, sample rows and the line that mends it.

Errors stop the work, warnings do not. A container (`Comparisons`, ...) cannot hold most errors, so they are found in
files and frames: `check_file` and `check_frame` list all faults of a table in one report instead of stopping at the
first. A new check goes into a module of `pluralism.data.checks` and into the list of its container there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from pluralism.data.checks.columns import given_columns
from pluralism.data.checks.comparisons import comparison_checks
from pluralism.data.checks.faults import COMPARISON_FAULTS, RANKING_FAULTS, RATING_FAULTS, fault_checks
from pluralism.data.checks.rankings import RankingView, ranking_checks
from pluralism.data.checks.raters import RaterAgreement, rater_agreement
from pluralism.data.checks.ratings import RatingView, rating_checks
from pluralism.data.checks.raw import Given, raw_report, some_rows, unreadable_report
from pluralism.data.checks.view import View
from pluralism.data.comparisons import Comparisons
from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.items import Items
from pluralism.data.preflib import SUFFIXES, read_preflib
from pluralism.data.rankings import Rankings
from pluralism.data.ratings import Ratings
from pluralism.data.report import Check, DataReport
from pluralism.data.validate import Fault
from pluralism.errors import DataError

__all__ = [
    "Check",
    "DataReport",
    "RaterAgreement",
    "check_comparisons",
    "check_file",
    "check_frame",
    "check_rankings",
    "check_ratings",
    "rater_agreement",
]

Kind: TypeAlias = Literal["comparisons", "ratings", "rankings"]


def check_comparisons(comparisons: Comparisons) -> DataReport:
    """Check comparisons that are already read.

    Parameters
    ----------
    comparisons : Comparisons
        Rows that a lenient reader left out (`comparisons.faults`) are reported as warnings, under their rows in the
        file; all other row numbers count the rows of `comparisons`.

    Examples
    --------
    >>> from pluralism.data import simulate_mixture
    >>> report = check_comparisons(simulate_mixture(n_users=50, position_bias=1.0, rng=0).comparisons)
    >>> report.ok, report["order bias"].passed
    (True, False)
    """
    view = View(comparisons, np.arange(1, len(comparisons) + 1)) if len(comparisons) else None
    return _report("comparisons", comparisons, COMPARISON_FAULTS, comparison_checks(view, why="there are no rows"))


def check_ratings(ratings: Ratings) -> DataReport:
    """Check ratings that are already read; see `check_comparisons`."""
    view = RatingView(ratings, np.arange(1, len(ratings) + 1)) if len(ratings) else None
    return _report("ratings", ratings, RATING_FAULTS, rating_checks(view, why="there are no rows"))


def check_rankings(rankings: Rankings) -> DataReport:
    """Check rankings that are already read; see `check_comparisons`. Rows are ballots."""
    view = RankingView(rankings, np.arange(1, len(rankings) + 1)) if len(rankings) else None
    return _report("rankings", rankings, RANKING_FAULTS, ranking_checks(view, why="there are no ballots"))


def check_file(
    path: str | Path,
    items: str | Path | Items | None = None,
    features: str | Path | np.ndarray | None = None,
    *,
    kind: Kind = "comparisons",
    columns: Mapping[str, str] | None = None,
    user: str | None = None,
    texts: bool | None = None,
) -> DataReport:
    """Check a file, and list all that is wrong with it.

    Parameters
    ----------
    path : str or Path
        Any file that `Comparisons.read`, `Ratings.read` or `Rankings.read` takes.
    items, features, columns, user, texts
        As in `Comparisons.read`; `user` is for comparisons only.
    kind : {"comparisons", "ratings", "rankings"}

    Returns
    -------
    DataReport
        Also for a file that cannot be read at all. Row numbers are those of the file, the header not counted.
    """
    try:
        if kind == "rankings" and Path(path).suffix.lower() in SUFFIXES:
            report = check_rankings(read_preflib(path))
            return DataReport("rankings", report.n_rows, report.checks, str(path))
        source = read_source(path)
    except DataError as error:
        return unreadable_report(kind, str(path), error)
    return raw_report(source, kind, Given(items, features, columns, user, texts))


def check_frame(
    frame: Any,
    items: str | Path | Items | None = None,
    features: str | Path | np.ndarray | None = None,
    *,
    kind: Kind = "comparisons",
    columns: Mapping[str, str] | None = None,
    user: str | None = None,
    texts: bool | None = None,
) -> DataReport:
    """Check a frame (pandas, polars, pyarrow, a Hugging Face dataset, a dict of columns); see `check_file`.

    Examples
    --------
    >>> report = check_frame(
    ...     {"user": ["ann", "bob"], "left": ["tea", "gin"], "rihgt": ["gin", "gin"], "outcome": [1.0, 1.2]}
    ... )
    >>> [check.name for check in report.errors]
    ['columns', 'outcome range', 'self-comparisons']
    """
    try:
        source = frame_source(frame)
    except DataError as error:
        return unreadable_report(kind, f"the {type(frame).__name__}", error)
    return raw_report(source, kind, Given(items, features, columns, user, texts))


def _report(
    subject: str, data: Comparisons | Ratings | Rankings, passed: Mapping[str, str], checks: Sequence[Check]
) -> DataReport:
    faults: tuple[Fault, ...] = data.faults
    n_left_out = len(np.unique(np.concatenate([fault.rows for fault in faults]))) if faults else 0
    found = fault_checks(faults, passed, len(data) + n_left_out, left_out=bool(faults))
    return DataReport(subject, len(data), (*given_columns(), *found, some_rows(len(data)), *checks))
