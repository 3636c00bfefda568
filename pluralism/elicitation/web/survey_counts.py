"""Answers on a scale of the exit survey, shown in numbers in which nobody can be recognised."""

from __future__ import annotations

from collections.abc import Sequence

from pluralism.elicitation.web.graphs import SMALLEST_GROUP

__all__ = ["POINTS", "scale_counts"]

POINTS = range(1, 6)
"""The points of a scale."""


def scale_counts(answers: Sequence[int], *, k: int = SMALLEST_GROUP) -> tuple[list[int | None], float | None]:
    """How many gave each answer on a scale, and the mean.

    Parameters
    ----------
    answers : sequence of int
        1 to 5.
    k : int
        The mean is of at least so many people. The counts are all shown, or where one is from 1 to k - 1, none: two
        that were left out would follow from the mean and the number of people.

    Returns
    -------
    counts : list of int or None
        One for each of `POINTS`.
    mean : float or None
    """
    counts = [sum(answer == point for answer in answers) for point in POINTS]
    small = any(0 < n < k for n in counts)
    mean = sum(answers) / len(answers) if len(answers) >= max(k, 1) else None
    return [None if small else n for n in counts], mean
