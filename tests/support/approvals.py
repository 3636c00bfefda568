"""Approval profiles in abcvoting's form, and committees as sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluralism.social_choice import ApprovalProfile, CommitteeOutcome


def abc_profile(profile: ApprovalProfile) -> Any:
    """The profile with one voter for each unit."""
    from abcvoting.preferences import Profile

    made = Profile(profile.n_candidates)
    for row, count in zip(profile.approves, profile.counts.tolist(), strict=True):
        for _ in range(count):
            made.add_voter([int(c) for c in np.flatnonzero(row)])
    return made


def committee_sets(outcome: CommitteeOutcome) -> set[frozenset[int]]:
    """The committees by positions of candidates."""
    return {frozenset(outcome.candidates.index(name) for name in committee) for committee in outcome.committees}
