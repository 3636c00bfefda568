"""Which comparisons of items to ask next, given a fitted model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.elicitation.query_selection.acquisition import bald, expected_best, group_disagreement, uncertainty
from pluralism.elicitation.query_selection.batch_bald import batch_bald
from pluralism.elicitation.query_selection.reward_samples import RewardSamples, reward_samples
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import Membership, PreferenceModel

__all__ = ["SelectedComparisons", "acquisitions", "select_comparisons"]

_ACQUISITIONS: Mapping[str, Callable[[RewardSamples], Float[np.ndarray, " pairs"]]] = {
    "bald": bald,
    "expected-best": expected_best,
    "group-disagreement": group_disagreement,
    "uncertainty": uncertainty,
}


@dataclass(frozen=True, eq=False, repr=False)
class SelectedComparisons:
    """Rows of the candidates to ask, the most telling first.

    Attributes
    ----------
    rows : int array of shape (selected,)
    score : array of shape (candidates,)
        Of all candidates, each by itself; NaN for random ones.
    method : str
    candidates : Comparisons
    """

    rows: Int[np.ndarray, " selected"]
    score: Float[np.ndarray, " candidates"]
    method: str
    candidates: Comparisons

    def to_frame(self) -> pa.Table:
        """Columns `row, user, left, right, score`; items by id."""
        ids, rows = self.candidates.items.ids, pa.array(self.rows)
        score = self.score[self.rows]
        return pa.table(
            {
                "row": rows,
                "user": self.candidates.users.take(pa.array(self.candidates.user[self.rows])),
                "left": ids.take(pa.array(self.candidates.left[self.rows])),
                "right": ids.take(pa.array(self.candidates.right[self.rows])),
                "score": pa.array(score, mask=np.isnan(score)),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The method and the rows of `to_frame`."""
        return {"method": self.method, "comparisons": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return f"SelectedComparisons({len(self.rows):,} of {len(self.score):,} by {self.method})"


def acquisitions() -> tuple[str, ...]:
    """Names of the ways to choose, "random" included."""
    return ("random", *_ACQUISITIONS)


def select_comparisons(
    model: PreferenceModel,
    candidates: Comparisons,
    *,
    n: int,
    method: str = "bald",
    membership: Membership | None = None,
    most_per_item: int | None = None,
    n_draws: int = 100,
    rng: RNG = None,
) -> SelectedComparisons:
    """Choose comparisons.

    Parameters
    ----------
    model : PreferenceModel
        Fitted.
    candidates : Comparisons
        Who might be asked about which pair; outcomes are ignored.
    n : int
        How many; fewer are chosen where there are no more.
    method : str
        One of `acquisitions()`: "bald" for the rewards and the groups at once (in a batch, each choice counts on the
        answers to those before), "expected-best" to find what is best,
        "group-disagreement" to place people, "uncertainty", or "random".
    membership : Membership, optional
        As in `reward_samples`.
    most_per_item : int, optional
        Comparisons chosen with one item, so that a batch is not all about the same few; left out, any number.
    n_draws : int
        Of the rewards.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If the method is unknown, or can tell nothing from this model.
    """
    name = method.replace("_", "-")
    if name not in acquisitions():
        raise UsageError(f"There is no way to choose {method!r}.", fix=f"Use one of {', '.join(acquisitions())}.")
    if n < 1 or (most_per_item is not None and most_per_item < 1):
        raise UsageError(f"n={n!r}, most_per_item={most_per_item!r} are not possible.", fix="Use at least 1.")
    generator = as_generator(rng, "queries")
    score = np.full(len(candidates), np.nan)
    if name != "random":
        samples = reward_samples(model, candidates, membership=membership, n_draws=n_draws, rng=generator)
        score = _ACQUISITIONS[name](samples)
        certain = len(samples.left) == 1 and bool((samples.group_weight.max(axis=1, initial=0.0) == 1.0).all())
        if len(score) and (not score.any() or (certain and name != "uncertainty")):
            raise UsageError(
                f"{method!r} tells nothing of this {type(model).__name__}: it has neither groups nor a posterior.",
                fix='Fit a model with groups or with uncertainty=True, or use method="uncertainty".',
            )
        if name == "bald":
            left, right = candidates.left, candidates.right
            rows = batch_bald(samples, n, left, right, generator, most_per_item=most_per_item)
            return SelectedComparisons(rows, score, name, candidates)
    order = np.lexsort((generator.random(len(score)), -np.nan_to_num(score)))
    return SelectedComparisons(_spread(order, candidates, n, most_per_item), score, name, candidates)


def _spread(
    order: Int[np.ndarray, " candidates"], candidates: Comparisons, n: int, most: int | None
) -> Int[np.ndarray, " selected"]:
    """The first n in the order, with no item in more than so many of them."""
    if most is None:
        return order[:n]
    used = np.zeros(candidates.n_items, dtype=np.int64)
    chosen = []
    for row in order.tolist():
        ends = [candidates.left[row], candidates.right[row]]
        if (used[ends] < most).all():
            used[ends] += 1
            chosen.append(row)
            if len(chosen) == n:
                break
    return np.array(chosen, dtype=np.int64)
