"""Sequential proportional approval voting: seats one by one, those who have seats already count for less."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pluralism.random import RNG
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.committees import TieBreak, after, check_seats, committee_outcome, follow, settled
from pluralism.social_choice.outcome import CommitteeOutcome
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores

__all__ = ["sequential_pav"]


@rule(
    "sequential-pav",
    takes=ApprovalProfile,
    source="T. N. Thiele 1895; M. Lackner and P. Skowron, Multi-Winner Voting with Approval Preferences 2023",
    axioms={"anonymity": True, "neutrality": True},
)
def sequential_pav(
    profile: ApprovalProfile,
    log: Log,
    *,
    seats: int,
    order: Sequence[str] | None = None,
    rng: RNG = None,
    most: int = 100,
) -> CommitteeOutcome:
    """Fill the seats one by one with the candidate that adds most to the score of `pav`.

    A voter who has r of the elected already counts 1 / (r + 1) for each other candidate approved.

    Parameters
    ----------
    profile : ApprovalProfile
    log : Log
    seats : int
        Size of the committee.
    order : sequence of str, optional
        Ties go to the first of these.
    rng : int or Generator, optional
        Ties go by an order drawn at random. With neither, all ways to break ties are followed.
    most : int
        Tied committees to list.

    Returns
    -------
    CommitteeOutcome
        Each committee that some way to break ties leads to.
    """
    size, ties = check_seats(seats, profile.n_candidates), TieBreak(profile.candidates, order, rng)
    ballots = profile.compressed()
    approves = ballots.approves.astype(np.int64)

    def step(elected: frozenset[int]) -> list[frozenset[int]]:
        if len(elected) == size:
            return []
        has = approves[:, sorted(elected)].sum(axis=1)
        wants = [ballots.counts[has == r] @ approves[has == r] for r in range(len(elected) + 1)]
        open_ = [c for c in range(profile.n_candidates) if c not in elected]
        gains = [
            sum((Fraction(int(w[c]), r + 1) for r, w in enumerate(wants)), Fraction(0)) / profile.denominator
            for c in open_
        ]
        best = max(gains)
        tied = [c for c, gain in zip(open_, gains, strict=True) if gain == best]
        chosen = ties.favoured(tied)
        names = profile.candidates
        so_far = [names[c] for c in sorted(elected)]
        log(
            f"{after(so_far)}the score would rise by {named_scores([names[c] for c in open_], gains)}. "
            + settled([names[c] for c in tied], [names[c] for c in chosen], "is elected"),
            elected=so_far,
            gains={names[c]: gain for c, gain in zip(open_, gains, strict=True)},
            chosen=[names[c] for c in chosen],
        )
        return [elected | {c} for c in chosen]

    found, complete = follow(frozenset[int](), step, lambda state: state, lambda state: state, most)
    return committee_outcome("sequential-pav", profile.candidates, found, complete)
