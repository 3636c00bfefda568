"""From comparisons to what the solvers take: a `PairProblem`, scaled covariates, and who is who."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.errors import DataError
from pluralism.solvers import FeatureMatrix, PairProblem

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["POSITION", "Prepared", "covariate_design", "prepare"]

POSITION = "position"


@dataclass(frozen=True)
class Prepared:
    """Comparisons ready to be fitted; only users with rows are kept.

    Attributes
    ----------
    users : pyarrow.LargeStringArray
        Labels of the problem's users, in the order of the data's vocabulary.
    n : int array of shape (users,)
        Rows of positive weight behind each user.
    design_scale : float array of shape (covariates,)
        Standard deviation of each covariate difference; the problem's design is divided by it.
    order : int array of shape (pairs,)
        Problem row i is data row order[i].
    """

    comparisons: Comparisons
    problem: PairProblem
    users: pa.Array
    n: Int[np.ndarray, " users"]
    covariate_names: list[str]
    design_scale: Float[np.ndarray, " covariates"]
    order: Int[np.ndarray, " pairs"]

    def subset(self, rows: Bool[np.ndarray, " pairs"]) -> PairProblem:
        """The problem of some of its rows (a mask in problem order), with all users and items."""
        p = self.problem
        smaller, _ = PairProblem.build(
            p.user[rows],
            p.left[rows],
            p.right[rows],
            p.outcome[rows],
            p.weight[rows],
            n_users=p.n_users,
            n_items=p.n_items,
            design=p.design[rows],
            features=p.features,
        )
        return smaller

    def without_ties(self) -> Prepared:
        """The same rows, ties with no weight."""
        return replace(self, problem=self.problem.without_ties())

    def digest(self) -> str:
        """A fingerprint of everything the fit depends on, for checkpoints."""
        p = self.problem
        h = hashlib.sha256()
        for array in (p.user_start, p.left, p.right, p.outcome, p.weight, p.design):
            h.update(np.ascontiguousarray(array).data)
        items = self.comparisons.items
        h.update(self.comparisons.origin.encode())
        # folds and prototypes may depend on prompts
        h.update(np.ascontiguousarray(items.prompt_codes()).data)
        if items.prompt_features is not None:
            h.update(np.ascontiguousarray(items.prompt_features).data)
        if p.features is not None:
            h.update(str(p.features.array.dtype).encode())
            for start in range(0, p.n_items, 65_536):
                h.update(np.ascontiguousarray(p.features.array[start : start + 65_536]).data)
        return h.hexdigest()


def prepare(
    comparisons: Comparisons, covariates: Sequence[str], *, position_bias: bool, use_features: bool = True
) -> Prepared:
    """Sort by user, scale covariates, wrap features (or leave them out).

    Raises
    ------
    DataError
        If there is no row of positive weight.
    """
    if not use_features:
        comparisons = comparisons.with_items(comparisons.items.without_features())
    if len(comparisons) == 0:
        raise DataError(
            "There are no comparisons to fit: the data have no rows.", fix="Check the file with `pluralism check`."
        )
    if not np.any(comparisons.weight > 0):
        raise DataError(
            "There are no comparisons of positive weight to fit.",
            where=f"{len(comparisons)} rows",
            fix="Check the file with `pluralism check`, and the `weight` column in particular.",
        )
    present, user = np.unique(comparisons.user, return_inverse=True)
    names, design = covariate_design(comparisons, covariates, position_bias=position_bias)
    scale = np.sqrt(np.average(design**2, axis=0, weights=comparisons.weight)) if design.shape[1] else np.zeros(0)
    scale = np.where(scale > 0, scale, 1.0)
    features = comparisons.items.features
    problem, order = PairProblem.build(
        user,
        comparisons.left,
        comparisons.right,
        comparisons.outcome,
        comparisons.weight,
        n_users=len(present),
        n_items=len(comparisons.items),
        design=design / scale,
        features=None if features is None else FeatureMatrix(features),
    )
    return Prepared(
        comparisons,
        problem,
        comparisons.users.take(pa.array(present)),
        np.bincount(user, comparisons.weight > 0, len(present)).astype(np.int64),
        names,
        scale,
        order,
    )


def covariate_design(
    comparisons: Comparisons, covariates: Sequence[str], *, position_bias: bool
) -> tuple[list[str], Float[np.ndarray, "pairs covariates"]]:
    """Names and unscaled differences; the position term is 1 in every row, for `left` stands first."""
    names = list(covariates)
    design = comparisons.covariate_difference(names) if names else np.zeros((len(comparisons), 0))
    if position_bias:
        names.append(POSITION)
        design = np.hstack([design, np.ones((len(comparisons), 1))])
    return names, design
