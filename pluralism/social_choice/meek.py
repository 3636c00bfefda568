"""Meek's count of the single transferable vote: the elected keep such a part of each vote that all have one quota."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int16, Int64

from pluralism.errors import DataError
from pluralism.random import RNG
from pluralism.social_choice.committees import TieBreak, after, check_seats, committee_outcome, follow, listed, settled
from pluralism.social_choice.first_place_kernels import listing_orders
from pluralism.social_choice.meek_kernels import distribute
from pluralism.social_choice.outcome import CommitteeOutcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores

__all__ = ["meek"]

ONE = 10**9
"""Parts of a vote in which votes are counted."""

SETTLED = 10**8
"""Surplus below one part in this of all votes is none."""

ALIKE = 10**6
"""Votes that differ by less than one part in this of all votes are equal."""

MOST_UNITS = 2**62 // ONE


@rule(
    "meek",
    takes=Profile,
    source="B. L. Meek 1969; I. D. Hill, B. A. Wichmann and D. R. Woodall, Algorithm 123, The Computer Journal 1987",
    axioms={"anonymity": True, "neutrality": True},
)
def meek(
    profile: Profile,
    log: Log,
    *,
    seats: int,
    order: Sequence[str] | None = None,
    rng: RNG = None,
    most: int = 100,
) -> CommitteeOutcome:
    """Elect whoever has more than v / (seats + 1) votes, v being those votes that somebody still keeps.

    Each ballot passes down its list. The excluded keep nothing of it, the hopeful all, and the elected the part that
    leaves each of them one quota: these parts are found by iteration. When all of the elected have a quota and nobody
    else does, the candidate of the fewest votes is excluded, and the count begins anew with all ballots; so the order
    in which candidates were elected does not matter, and votes for the excluded never lose value. Tied candidates on a
    ballot share it equally.

    Votes are counted in whole parts of 10^-9, rounded down, as in the election laws that use this count. Surplus of
    less than 10^-8 of all votes is none, and candidates whose votes differ by less than 10^-6 of all votes are tied.

    Parameters
    ----------
    profile : Profile
    log : Log
    seats : int
    order, rng, most
        How ties for exclusion are broken, and how many tied committees are listed, as in `sequential_pav`.
    """
    size, ties = check_seats(seats, profile.n_candidates), TieBreak(profile.candidates, order, rng)
    ballots = profile.compressed()
    if ballots.total > MOST_UNITS:
        raise DataError(
            f"{ballots.total:,} units of votes are more than Meek's count holds ({MOST_UNITS:,}).",
            fix="Count in larger units, or use single_transferable_vote.",
        )
    count = _Count(ballots, listing_orders(ballots.levels)[0], size, ties, log)
    found, complete = follow(count.start(), count.step, _Stage.key, lambda stage: stage.elected, most)
    return committee_outcome("meek", profile.candidates, found, complete)


@dataclass(frozen=True)
class _Stage:
    """Who is elected, who hopes, and what each keeps of a vote that comes to it."""

    elected: frozenset[int]
    hopeful: frozenset[int]
    keep: tuple[int, ...]

    def key(self) -> Hashable:
        """Equal for stages that go on alike: what is kept follows from who is elected and who hopes."""
        return self.elected, self.hopeful


@dataclass(frozen=True)
class _Count:
    ballots: Profile
    order: Int16[np.ndarray, "ballots candidates"]
    seats: int
    ties: TieBreak
    log: Log

    def start(self) -> _Stage:
        everybody = frozenset(range(self.ballots.n_candidates))
        return _Stage(frozenset(), everybody, (ONE,) * self.ballots.n_candidates)

    def step(self, stage: _Stage) -> list[_Stage]:
        """Elect whoever reaches the quota until nobody new does; then exclude the last."""
        if len(stage.elected) == self.seats:
            return []
        names = self.ballots.candidates
        if len(stage.elected) + len(stage.hopeful) <= self.seats:
            self.log(f"What seats are left go to {listed([names[c] for c in sorted(stage.hopeful)])}.")
            return [_Stage(stage.elected | stage.hopeful, frozenset(), stage.keep)]
        elected, keep, votes = self._settle(stage)
        hopeful = stage.hopeful - elected
        if len(elected) == self.seats:
            return [_Stage(elected, frozenset(), keep)]
        if len(elected) + len(hopeful) <= self.seats:
            return [_Stage(elected, hopeful, keep)]
        without = [c for c in sorted(hopeful) if votes[c] == 0]
        if without and len(elected) + len(hopeful) - len(without) >= self.seats:
            # No votes move, so that the order in which they are excluded makes no difference.
            self.log(f"Without votes, and excluded: {listed([names[c] for c in without])}.")
            return [_Stage(elected, hopeful.difference(without), _without(keep, without))]
        fewest = min(int(votes[c]) for c in hopeful)
        near = self.ballots.total * ONE // ALIKE
        tied = [c for c in sorted(hopeful) if votes[c] - fewest < max(near, 1)]
        chosen = self.ties.disfavoured(tied)
        self.log(settled([names[c] for c in tied], [names[c] for c in chosen], "is excluded"))
        return [_Stage(elected, hopeful - {c}, _without(keep, [c])) for c in chosen]

    def _settle(self, stage: _Stage) -> tuple[frozenset[int], tuple[int, ...], Int64[np.ndarray, " candidates"]]:
        """Iterate until each of the elected has one quota, electing whoever reaches it on the way."""
        total = self.ballots.total * ONE
        elected, keep, before = stage.elected, np.array(stage.keep), None
        while True:
            votes = np.zeros(self.ballots.n_candidates, dtype=np.int64)
            excess = int(distribute(self.ballots.levels, self.order, self.ballots.counts, keep, ONE, votes))
            quota = (total - excess) // (self.seats + 1) + 1
            new = [c for c in sorted(stage.hopeful - elected) if votes[c] >= quota]
            elected = elected.union(new)
            surplus = sum(max(int(votes[c]) - quota, 0) for c in elected)
            done = surplus * SETTLED < total or (before is not None and not new and surplus >= before)
            if new or done:
                self._note(elected, new, stage.hopeful, votes, quota)
            if done or len(elected) == self.seats:
                return elected, tuple(keep.tolist()), votes
            for c in elected:
                # Rounded up, so that nobody falls below the quota.
                keep[c] = min(-(-int(keep[c]) * quota // int(votes[c])), ONE)
            before = None if new else surplus

    def _note(
        self,
        elected: frozenset[int],
        new: list[int],
        hopeful: frozenset[int],
        votes: Int64[np.ndarray, " candidates"],
        quota: int,
    ) -> None:
        names = self.ballots.candidates
        unit = ONE * self.ballots.denominator
        standing = sorted(hopeful | elected)
        shown = [Fraction(int(votes[c]), unit) for c in standing]
        done = sorted(elected.difference(new))
        wins = f" {listed([names[c] for c in new])} {'reach' if len(new) > 1 else 'reaches'} it." if new else ""
        self.log(
            f"{after([names[c] for c in done])}votes are {named_scores([names[c] for c in standing], shown, most=99)}; "
            f"the quota is {number(Fraction(quota, unit))}.{wins}",
            votes={names[c]: float(n) for c, n in zip(standing, shown, strict=True)},
            quota=float(Fraction(quota, unit)),
            elected=[names[c] for c in new],
        )


def _without(keep: tuple[int, ...], excluded: list[int]) -> tuple[int, ...]:
    """What each keeps, the excluded nothing."""
    gone = set(excluded)
    return tuple(0 if c in gone else part for c, part in enumerate(keep))
