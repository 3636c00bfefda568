"""Hypothesis strategies for what social choice and policies work on: profiles, approvals, utilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.profile import Profile, Unlisted
from pluralism.social_choice.utilities import Utilities
from pluralism.testing.strategies import random_state_kept, strategy_module

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["approval_profiles", "profiles", "utilities"]


def profiles(
    *,
    min_candidates: int = 1,
    max_candidates: int = 5,
    max_ballots: int = 6,
    max_count: int = 4,
    ties: bool = True,
    truncated: bool = True,
    unlisted: Unlisted | None = None,
    denominator: bool = False,
) -> SearchStrategy[Profile]:
    """Profiles with at least one voter.

    Parameters
    ----------
    min_candidates, max_candidates, max_ballots, max_count : int
        Sizes.
    ties, truncated : bool
        Whether ballots may tie candidates that they list, and may leave candidates out.
    unlisted : {"below", "ignore"}, optional
        What a missing candidate means; left out, either.
    denominator : bool
        Whether voters may be made of several units.

    Raises
    ------
    MissingExtraError
        If hypothesis is not installed.
    """
    st = strategy_module()

    def build(draw: Any) -> Profile:
        m = draw(st.integers(min_candidates, max_candidates))
        n = draw(st.integers(1, max_ballots))
        level = st.integers(-1 if truncated else 0, m - 1)
        row = st.lists(level, min_size=m, max_size=m) if ties else st.permutations(range(m))
        levels = np.array([draw(row) for _ in range(n)])
        if not ties and truncated:
            shown = np.array(draw(st.lists(st.integers(1, m), min_size=n, max_size=n)))
            levels = np.where(levels < shown[:, None], levels, -1)
        levels[(levels < 0).all(axis=1)] = 0
        counts = draw(st.lists(st.integers(0, max_count), min_size=n, max_size=n))
        counts[0] = max(counts[0], 1)
        meaning = draw(st.sampled_from(["below", "ignore"])) if unlisted is None else unlisted
        units = draw(st.integers(1, 3)) if denominator else 1
        with random_state_kept():
            return Profile("abcdefghijklmnopqrstuvwxyz"[:m], levels, counts, units, meaning)

    return st.composite(build)()


def approval_profiles(
    *, min_candidates: int = 1, max_candidates: int = 6, max_ballots: int = 7, max_count: int = 3
) -> SearchStrategy[ApprovalProfile]:
    """Approval profiles with at least one voter; ballots may be empty."""
    st = strategy_module()

    def build(draw: Any) -> ApprovalProfile:
        m = draw(st.integers(min_candidates, max_candidates))
        n = draw(st.integers(1, max_ballots))
        approves = np.array([draw(st.lists(st.booleans(), min_size=m, max_size=m)) for _ in range(n)])
        counts = draw(st.lists(st.integers(0, max_count), min_size=n, max_size=n))
        counts[0] = max(counts[0], 1)
        with random_state_kept():
            return ApprovalProfile("abcdefghijklmnopqrstuvwxyz"[:m], approves, counts)

    return st.composite(build)()


def utilities(
    *,
    max_prompts: int = 3,
    min_candidates: int = 1,
    max_candidates: int = 5,
    max_groups: int = 4,
    scale: float = 3.0,
    equal: bool = True,
    absent: bool = True,
) -> SearchStrategy[Utilities]:
    """Raw utilities with an uneven reference policy and uneven shares.

    Parameters
    ----------
    max_prompts, min_candidates, max_candidates, max_groups : int
        Sizes.
    scale : float
        Largest size of a utility.
    equal : bool
        Whether candidates are often worth the same.
    absent : bool
        Whether prompts may have fewer candidates than places.
    """
    st = strategy_module()

    def build(draw: Any) -> Utilities:
        shape = (
            draw(st.integers(1, max_prompts)),
            draw(st.integers(min_candidates, max_candidates)),
            draw(st.integers(1, max_groups)),
        )
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        values = generator.uniform(-scale, scale, shape)
        if equal and draw(st.booleans()):
            values = np.round(values)
        logs = generator.normal(size=shape[:2])
        if absent and draw(st.booleans()):
            gone = generator.random(shape[:2]) < 0.3
            gone[:, 0] = False
            logs[gone] = -np.inf
        shares = generator.dirichlet(np.ones(shape[2])) + 0.01
        with random_state_kept():
            return Utilities(values, logs, shares)

    return st.composite(build)()
