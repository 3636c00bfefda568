"""People as annotators: their judgements as they are, of all or of each known group."""

from __future__ import annotations

import numpy as np

from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.errors import DataError

__all__ = ["group_verdicts", "human_verdicts"]


def human_verdicts(comparisons: Comparisons, *, name: str = "human") -> Verdicts:
    """The outcomes of all rows; ties are no opinion."""
    return Verdicts(name, comparisons.outcome)


def group_verdicts(comparisons: Comparisons, *, name: str = "human") -> list[Verdicts]:
    """The outcomes of each known group, which has no verdict on the rows of others.

    The groups are named ``human:GROUP``, and their shares are those of the weight of rows with a known group.

    Raises
    ------
    DataError
        If the comparisons have no groups.
    """
    if comparisons.group is None or comparisons.groups is None:
        raise DataError("The comparisons have no known groups.", fix="Add a column group to the data.")
    codes = np.flatnonzero(np.bincount(comparisons.group[comparisons.group >= 0], minlength=len(comparisons.groups)))
    mass = np.array([comparisons.weight[comparisons.group == code].sum() for code in codes])
    return [
        Verdicts(
            f"{name}:{comparisons.groups[int(code)].as_py()}",
            np.where(comparisons.group == code, comparisons.outcome, np.nan),
            share=float(own / mass.sum()) if mass.sum() > 0 else None,
        )
        for code, own in zip(codes, mass, strict=True)
    ]
