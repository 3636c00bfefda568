"""Plain counting, by definition and one ballot at a time, for tests of rules."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def plain_support(profile) -> np.ndarray:
    """Units that rank the row's candidate above the column's."""
    m = profile.n_candidates
    support = np.zeros((m, m), dtype=np.int64)
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        for a in range(m):
            for b in range(m):
                if row[a] < 0 or a == b:
                    continue
                if row[b] < 0:
                    support[a, b] += count if profile.unlisted == "below" else 0
                elif row[a] < row[b]:
                    support[a, b] += count
    return support


def plain_paths(links) -> np.ndarray:
    """Widest paths, one candidate in between at a time."""
    width = np.array(links)
    for via in range(len(width)):
        width = np.maximum(width, np.minimum(width[:, [via]], width[[via], :]))
    return width


def plain_votes(profile, standing) -> dict[int, Fraction]:
    """Units of first places among those who stand, equal firsts shared."""
    votes = dict.fromkeys(standing, Fraction(0))
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        listed = [c for c in standing if row[c] >= 0]
        if listed:
            best = [c for c in listed if row[c] == min(row[d] for d in listed)]
            for c in best:
                votes[c] += Fraction(count, len(best))
    return votes


def names(profile, positions) -> tuple[str, ...]:
    """Names of candidates by position, in order."""
    return tuple(profile.candidates[c] for c in sorted(positions))
