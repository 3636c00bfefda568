"""The audit: what principles leave to discretion, and how annotators use it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import json_ready
from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.measures.arbitrariness import Arbitrariness, arbitrariness_of
from pluralism.discretion.measures.categories import CATEGORIES, Categories, categories_of, threshold_sweep
from pluralism.discretion.measures.discrepancy import Discrepancy, discretion_discrepancy
from pluralism.discretion.measures.intervals import check_level, share_interval
from pluralism.discretion.measures.priority import RIDGE, Priority, principle_priority
from pluralism.discretion.measures.single import counted_rows
from pluralism.discretion.measures.supremacy import Supremacy, supremacy_of
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.questions import DistinctPairs
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator, as_seed

__all__ = ["DiscretionAudit", "audit_discretion"]

Unit = Literal["comparison", "annotator"]
# Wins in all resamples, at eight bytes each.
MOST_CELLS = 1 << 28


@dataclass(frozen=True, eq=False, repr=False)
class DiscretionAudit:
    """How annotators use the discretion that principles leave them.

    Attributes
    ----------
    preferences : PrinciplePreferences
    annotators : tuple of Verdicts
    categories : Categories
    arbitrariness : Arbitrariness
    supremacy : tuple of Supremacy
        One an annotator.
    priority : tuple of Priority
        One an annotator.
    discrepancy : Discrepancy
    weight : array of shape (pairs,)
    question : int array of shape (pairs,)
        Which distinct pair of items each row is about.
    threshold : float or None
        Of the principles' decisions; None where they decide unless not applying is likeliest.
    graded : bool
        Whether probabilities were counted instead of decisions.
    by : {"comparison", "annotator"}
        What was drawn again.
    n_bootstrap : int
    level : float
    """

    preferences: PrinciplePreferences
    annotators: tuple[Verdicts, ...]
    categories: Categories
    arbitrariness: Arbitrariness
    supremacy: tuple[Supremacy, ...]
    priority: tuple[Priority, ...]
    discrepancy: Discrepancy
    weight: Float[np.ndarray, " pairs"]
    question: Int[np.ndarray, " pairs"]
    threshold: float | None
    graded: bool
    by: Unit
    n_bootstrap: int
    level: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the annotators."""
        return tuple(annotator.name for annotator in self.annotators)

    @property
    def principles(self) -> tuple[str, ...]:
        """Ids of the principles."""
        return self.preferences.principles

    @property
    def own_judges(self) -> tuple[str, ...]:
        """Annotators that judged the principles as well: following a consensus, they agree with themselves."""
        return tuple(name for name in self.names if self.preferences.method.startswith(f"{name}, "))

    def _index(self, annotator: str) -> int:
        if annotator not in self.names:
            raise UsageError(f"There is no annotator {annotator!r}.", fix=f"There are {', '.join(self.names)}.")
        return self.names.index(annotator)

    def supremacy_of(self, annotator: str) -> Supremacy:
        """By name of the annotator."""
        return self.supremacy[self._index(annotator)]

    def priority_of(self, annotator: str) -> Priority:
        """By name of the annotator."""
        return self.priority[self._index(annotator)]

    @cached_property
    def category(self) -> Int[np.ndarray, " pairs"]:
        """Of each row by the principles' decisions: 0 consensus, 1 conflict, 2 indifference."""
        signs = self.preferences.signs(self.threshold)
        left, right = (signs > 0).any(axis=1), (signs < 0).any(axis=1)
        return np.where(left & right, 1, np.where(left | right, 0, 2)).astype(np.int64)

    def most_discretion(self, n: int = 10) -> Int[np.ndarray, " rows"]:
        """Rows, one a distinct pair, on which discretion was exercised most.

        First those where the principles agree and verdicts go against them, then conflicts; within either by the
        number of principles that verdicts override, summed over annotators. Ties keep the order of the rows.
        """
        signs = self.preferences.signs(self.threshold)
        sides = np.sum([annotator.sides(graded=False) for annotator in self.annotators], axis=0)
        overridden = sides[:, 0] * (signs < 0).sum(axis=1) + sides[:, 1] * (signs > 0).sum(axis=1)
        against = np.where(self.category == 0, overridden, 0.0)
        within = np.where(self.category == 1, overridden, 0.0)
        order = np.lexsort((np.arange(len(signs)), -within, -against))
        order = order[(against + within)[order] > 0]
        _, first = np.unique(self.question[order], return_index=True)
        return order[np.sort(first)][:n]

    def to_frame(self) -> pa.Table:
        """A row an annotator: that of `Arbitrariness`, with the number of contested principles."""
        contested = [int((priority.component >= 0).sum()) for priority in self.priority]
        return self.arbitrariness.to_frame().append_column("contested", pa.array(contested))

    def to_dict(self) -> dict[str, Any]:
        """All measures as plain types."""
        swap = self.preferences.swap
        return json_ready(
            {
                "comparisons": len(self.preferences),
                "pairs": int(self.question.max(initial=-1)) + 1,
                "principles": list(self.principles),
                "oracle": self.preferences.method,
                "own_judges": list(self.own_judges),
                "oracle_swap": None if swap is None else swap.to_dict(),
                "threshold": self.threshold,
                "graded": self.graded,
                "bootstrap": {"by": self.by, "draws": self.n_bootstrap, "level": self.level},
                "annotators": [
                    {"name": a.name, "share": a.share, "conflict": a.conflict, "decided": int(a.decided.sum())}
                    for a in self.annotators
                ],
                **self.categories.to_dict(),
                "arbitrariness": self.arbitrariness.to_dict(),
                "supremacy": [supremacy.to_dict() for supremacy in self.supremacy],
                "priority": [priority.to_dict() for priority in self.priority],
                "discrepancy": self.discrepancy.to_dict(),
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{name} {share:.1%}" for name, share in zip(CATEGORIES, self.categories.shares, strict=True)
        )
        n, c = len(self.preferences), len(self.principles)
        counted = f"{n:,} comparison{'s' * (n != 1)}, {c} principle{'s' * (c != 1)}"
        head = f"DiscretionAudit({counted}: {shares})"
        return f"{head}\n{self.arbitrariness!r}"


def audit_discretion(
    comparisons: Comparisons,
    preferences: PrinciplePreferences,
    annotators: Sequence[Verdicts],
    *,
    threshold: float | None = None,
    graded: bool = False,
    ridge: float = RIDGE,
    by: Unit = "comparison",
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> DiscretionAudit:
    """Measure what principles leave to discretion, and how annotators use it.

    Parameters
    ----------
    comparisons : Comparisons
        What was judged; their weights count.
    preferences : PrinciplePreferences
        Of the principles, a row for each of the comparisons.
    annotators : sequence of Verdicts
        With different names, a verdict for each of the comparisons.
    threshold : float, optional
        A principle decides where its probability of not applying is at most this; left out, unless not applying is
        likelier than either side.
    graded : bool
        Count probabilities of principles (taken as independent) and of annotators instead of decisions.
    ridge : float
        Precision of the prior on the priorities; with 0 these and the discrepancies have no intervals.
    by : {"comparison", "annotator"}
        What resamples draw again: distinct pairs of items with all their rows, or users with all their rows.
    n_bootstrap : int
        Resamples; 0 leaves out all intervals.
    level : float
        Of the intervals.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If the parts are not of the same comparisons, or there are none.
    UsageError
        If an option cannot be.

    References
    ----------
    M. Buyl et al., AI Alignment at Your Discretion, arXiv 2502.10441, 2025. Here each contest is counted once, priors
    and components are stated, ranks are averaged, and +1 is the left item.

    Examples
    --------
    >>> data = Comparisons.from_arrays(left=[0, 1, 2, 3], right=[4, 5, 6, 7], outcome=[1, 0, 1, 0])
    >>> found = PrinciplePreferences.from_signs(["kind", "brief"], [[1, -1], [1, -1], [1, 1], [1, 0]])
    >>> audit = audit_discretion(data, found, [Verdicts("people", data.outcome)], n_bootstrap=0)
    >>> audit.categories.shares.round(2).tolist(), audit.arbitrariness.value.tolist()
    ([0.5, 0.5, 0.0], [0.5])
    """
    check_level(level, n_bootstrap)
    _check(comparisons, preferences, annotators, by, n_bootstrap)
    names, principles = tuple(a.name for a in annotators), preferences.principles
    signs = preferences.signs(threshold)
    question = DistinctPairs.of(comparisons).of_row
    unit = question if by == "comparison" else np.unique(comparisons.user, return_inverse=True)[1]
    rows = counted_rows(preferences, annotators, comparisons.weight, threshold, graded, unit.astype(np.int64))
    observed = rows.observed()
    seed = as_seed(rng)
    draws = rows.resampled(n_bootstrap, as_generator(seed, "discretion")) if n_bootstrap else None
    shares = categories_of(observed.categories)[0]
    drawn_shares = np.empty((0, 3)) if draws is None else categories_of(draws.categories)
    spans = share_interval(shares, np.full(3, comparisons.weight.sum()), drawn_shares, level)
    supremacy, priority = [], []
    for k, annotator in enumerate(annotators):
        drawn = None if draws is None else draws.wins[:, k]
        hard = annotator.sides(graded=False)
        verdict = (hard[:, 0] - hard[:, 1]).astype(np.int8)
        given = annotator.name, principles, observed.wins[0, k], drawn
        supremacy.append(supremacy_of(*given, level, signs, verdict, comparisons.weight))
        # the same seed for all annotators: their resamples and their priors are paired
        priority.append(principle_priority(*given, ridge=ridge, level=level, rng=seed))
    return DiscretionAudit(
        preferences,
        tuple(annotators),
        Categories(shares, spans, threshold_sweep(preferences, comparisons.weight)),
        arbitrariness_of(names, principles, observed, draws, level),
        tuple(supremacy),
        tuple(priority),
        discretion_discrepancy(priority, level),
        comparisons.weight,
        question,
        threshold,
        graded,
        by,
        n_bootstrap,
        level,
    )


def _check(
    comparisons: Comparisons,
    preferences: PrinciplePreferences,
    annotators: Sequence[Verdicts],
    by: str,
    n_bootstrap: int,
) -> None:
    names = [annotator.name for annotator in annotators]
    if not names or len(set(names)) < len(names):
        raise UsageError("An audit needs annotators with different names.", fix="Rename one, or pass at least one.")
    if by not in ("comparison", "annotator"):
        raise UsageError(f"by={by!r} is not possible.", fix='Use by="comparison" or by="annotator".')
    n = len(comparisons)
    if not n or not comparisons.weight.sum() > 0:
        raise DataError("There is no comparison to audit.", fix="Check the data, and their weights.")
    if len(preferences) != n:
        raise DataError(
            f"There are {n:,} comparisons, but {len(preferences):,} rows of preferences.",
            fix="Pass preferences on the same comparisons.",
        )
    cells = n_bootstrap * len(names) * len(preferences.principles) ** 2
    if cells > MOST_CELLS:
        raise UsageError(
            f"{n_bootstrap:,} resamples of {len(names)} annotators and {len(preferences.principles)} principles do not "
            "fit into memory.",
            fix=f"Use at most {MOST_CELLS * n_bootstrap // cells:,} resamples, or fewer annotators or principles.",
        )
    if by == "annotator" and len(np.unique(comparisons.user)) < 2:
        raise UsageError(
            "There is one user, so who would have judged instead is not known.", fix='Use by="comparison".'
        )
