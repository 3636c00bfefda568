"""A sample of users large enough to say what users are like, with the items they judged and no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from pluralism.solvers.pairs import PairProblem

__all__ = ["SampledUsers", "sampled_users"]

FEWEST_USERS = 50
SPARE = 2.0


@dataclass(frozen=True)
class SampledUsers:
    """Some answers as a problem of their own, with users and items numbered anew.

    Attributes
    ----------
    problem : PairProblem
        Without features.
    rows : int array of shape (pairs,)
        Its rows among those of the whole.
    items : int array of shape (items,)
        Its items among those of the whole.
    """

    problem: PairProblem
    rows: Int[np.ndarray, " pairs"]
    items: Int[np.ndarray, " items"]


def sampled_users(problem: PairProblem, most_rows: int, rng: np.random.Generator) -> SampledUsers:
    """Random users with all their answers, up to about so many rows; everybody where there are no more rows.

    No fewer than 50 users are taken (or all). Where these alone have far too many answers, some of the answers are
    left out.
    """
    rows = np.arange(len(problem.left))
    if len(rows) > most_rows:
        order = rng.permutation(problem.n_users)
        enough = int(np.searchsorted(np.cumsum(np.diff(problem.user_start)[order]), most_rows)) + 1
        kept = np.zeros(problem.n_users, dtype=bool)
        kept[order[: max(enough, FEWEST_USERS)]] = True
        rows = np.flatnonzero(kept[problem.user])
        if len(rows) > SPARE * most_rows:
            rows = np.sort(rng.choice(rows, most_rows, replace=False))
    users, user = np.unique(problem.user[rows], return_inverse=True)
    items, codes = np.unique(np.concatenate([problem.left[rows], problem.right[rows]]), return_inverse=True)
    sampled, _ = PairProblem.build(
        user,
        codes[: len(rows)],
        codes[len(rows) :],
        problem.outcome[rows],
        problem.weight[rows],
        n_users=len(users),
        n_items=len(items),
    )
    return SampledUsers(sampled, rows, items)
