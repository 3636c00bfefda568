"""Profiles like another but for some ballots: the changes that axioms compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from pluralism.social_choice.profile import Profile

__all__ = ["Change", "amounts", "joined", "lifts", "with_changed_ballots"]

Change = tuple[int, int, Int64[np.ndarray, " candidates"]]
"""A row, how many of its units change, and their new levels."""


def amounts(units: int, voter: int, rng: np.random.Generator) -> list[int]:
    """Parts of so many units to change: one voter, any number, all."""
    return sorted({min(voter, units), int(rng.integers(1, units + 1)), units})


def lifts(profile: Profile, candidate: int, rng: np.random.Generator) -> Iterator[Change]:
    """Every way to raise a candidate on one ballot, the order of the others staying as it is."""
    for row in rng.permutation(np.flatnonzero(profile.counts > 0)):
        levels = profile.levels[row].astype(np.int64)
        if levels[candidate] < 0 and profile.unlisted == "ignore":
            continue
        worst = int(levels.max())
        here = int(levels[candidate]) if levels[candidate] >= 0 else worst + 1
        alone = levels[candidate] >= 0 and (levels == here).sum() == 1
        last = levels[candidate] < 0 and (levels < 0).sum() == 1
        for target in range(here, -1, -1):
            if target == here and (alone or last):
                continue
            # Between the levels above it and the one that it is raised over.
            raised = np.where(levels >= 0, 2 * levels + 1, -1)
            raised[candidate] = 2 * target
            for part in amounts(int(profile.counts[row]), profile.denominator, rng):
                yield int(row), part, raised


def with_changed_ballots(profile: Profile, changes: Sequence[Change]) -> Profile:
    """The profile after some units of some rows have changed; each row may occur once."""
    counts = profile.counts.copy()
    rows = [profile.levels.astype(np.int64)]
    parts = []
    for row, part, levels in changes:
        counts[row] -= part
        rows.append(levels[None])
        parts.append(part)
    return Profile(
        profile.candidates,
        np.concatenate(rows),
        np.concatenate([counts, np.array(parts, dtype=np.int64)]),
        profile.denominator,
        profile.unlisted,
    )


def joined(first: Profile, second: Profile) -> Profile:
    """The ballots of two profiles of the same candidates and units."""
    return Profile(
        first.candidates,
        np.concatenate([first.levels, second.levels]),
        np.concatenate([first.counts, second.counts]),
        first.denominator,
        first.unlisted,
    )
