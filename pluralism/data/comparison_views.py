"""What can be read off comparisons: a description in one line, and differences of covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from pluralism.data.votes import THRESHOLD
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.data.comparisons import Comparisons

__all__ = ["covariate_differences", "described"]


def described(data: Comparisons) -> str:
    """One line that says how much there is of what."""
    ties = int((data.outcome == 0.5).sum())
    parts = [
        f"{_count(len(data), 'judgement')} by {_count(data.n_users, 'user')} of {_count(data.n_items, 'item')}",
        *([f"{_count(ties, 'tie')}"] if ties else []),
        *([f"weights adding up to {data.weight.sum():,.6g}"] if np.any(data.weight != 1) else []),
        *([f"{_count(len(data.groups), 'known group')}"] if data.groups is not None else []),
        *([f"covariates {', '.join(data.covariates)}"] if data.covariates else []),
        *([f"made of {data.origin}"] if data.origin != "comparisons" else []),
        "not embedded" if data.items.features is None else f"{data.dim} features ({data.items.feature_space})",
    ]
    return f"Comparisons({', '.join(parts)})"


def covariate_differences(data: Comparisons, names: Sequence[str]) -> Float64[np.ndarray, "pairs covariates"]:
    """Left minus right of each named covariate; see `Comparisons.covariate_difference`."""
    columns = np.empty((len(data), len(names)))
    for column, name in enumerate(names):
        if name in data.covariates:
            left, right = data.covariates[name]
            columns[:, column] = left - right
        elif name in data.items.covariate_names():
            values = data.items.covariate(name)
            columns[:, column] = values[data.left] - values[data.right]
        elif name == THRESHOLD:
            raise UsageError(
                "These comparisons are of items with each other, and no votes: they have no threshold.",
                fix="Make votes of ratings with Ratings.to_votes(), or choose a model without that covariate, such as "
                "the recipes bt, maxmin or shared-private.",
            )
        else:
            raise UsageError(
                f"There is no covariate {name!r}.",
                fix=f"Choose among {data.covariate_names()}, or add columns 'left.{name}' and 'right.{name}'.",
            )
    return columns


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
