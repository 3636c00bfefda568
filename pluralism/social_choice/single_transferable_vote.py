"""The single transferable vote: a quota of votes wins a seat, and votes that win none go to the next choice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import ge, gt
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool

from pluralism.errors import UsageError
from pluralism.random import RNG
from pluralism.social_choice.committees import TieBreak, check_seats, committee_outcome, follow, listed, settled
from pluralism.social_choice.outcome import CommitteeOutcome, Step, number
from pluralism.social_choice.parcels import Parcels, first_parcels, merged_parcels, passed_on, transferable, votes_of
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores

__all__ = ["Quota", "Transfer", "quota_of", "single_transferable_vote"]

Quota = Literal["droop", "hare", "hagenbach-bischoff"]
"""How many votes win a seat; see `single_transferable_vote`."""

Transfer = Literal["weighted-inclusive", "last-parcel"]
"""Which papers carry a surplus; see `single_transferable_vote`."""


@rule(
    "single-transferable-vote",
    takes=Profile,
    source="N. Tideman, The Single Transferable Vote, JEP 1995; Scottish Local Government Elections Order 2007",
    axioms={"anonymity": True, "neutrality": True},
)
def single_transferable_vote(
    profile: Profile,
    log: Log,
    *,
    seats: int,
    quota: Quota = "droop",
    transfer: Transfer = "weighted-inclusive",
    places: int | None = None,
    backwards: bool = False,
    order: Sequence[str] | None = None,
    rng: RNG = None,
    most: int = 100,
) -> CommitteeOutcome:
    """Elect whoever reaches the quota and pass on the surplus; if nobody does, exclude the last and pass on all votes.

    At each count all candidates at the quota are elected. Then the largest surplus is passed on or, if there is none,
    the candidate of the fewest votes is excluded. When as many candidates are left as seats, they are elected. Where
    the next candidates of a paper are tied, they share it equally. Candidates that a ballot does not list get nothing
    of it, whatever the profile says of them.

    Parameters
    ----------
    profile : Profile
    log : Log
    seats : int
    quota : {"droop", "hare", "hagenbach-bischoff"}
        With v votes for s seats: floor(v / (s + 1)) + 1; or v / s; or more than v / (s + 1). The Droop quota is a whole
        number of the units in which the profile counts.
    transfer : {"weighted-inclusive", "last-parcel"}
        Whether all papers of an elected candidate carry on the surplus, each at its value times surplus / votes; or,
        as J. B. Gregory proposed, those that came last, at no more than their value, the papers without a next
        candidate staying behind as far as the surplus allows.
    places : int, optional
        Decimals of a vote that the value of a paper keeps, the others being cut off (Scotland: 5). Left out, values
        are exact fractions.
    backwards : bool
        Whether ties are first settled by the last count at which the tied had different votes.
    order, rng, most
        How other ties are broken, as in `sequential_pav`: the favoured candidate is not excluded, or has its surplus
        passed on first.

    Returns
    -------
    CommitteeOutcome

    Notes
    -----
    ``quota="droop", places=5, backwards=True`` are the rules of Scottish councils. Irish elections to the Dáil draw
    the papers of a surplus from the last parcel by lot, for which ``transfer="last-parcel"`` is the expectation.
    """
    size, ties = check_seats(seats, profile.n_candidates), TieBreak(profile.candidates, order, rng)
    if transfer not in get_args(Transfer):
        raise UsageError(
            f"transfer={transfer!r} is not possible.", fix=f"Choose one of {', '.join(get_args(Transfer))}."
        )
    if places is not None and (isinstance(places, bool) or not isinstance(places, int) or places < 0):
        raise UsageError(f"places={places!r} is not possible.", fix="It is a number of decimals, or None.")
    ballots = profile.compressed()
    grain = None if places is None else Fraction(1, 10**places)
    reached = gt if quota == "hagenbach-bischoff" else ge
    needed = quota_of(quota, ballots.total, size) / ballots.denominator
    count = _Count(ballots, size, needed, reached, transfer, grain, backwards, ties, log)
    found, complete = follow(count.start(), count.step, count.key, lambda stage: stage.elected, most)
    return committee_outcome("single-transferable-vote", profile.candidates, found, complete)


def quota_of(quota: Quota, votes: int, seats: int) -> Fraction:
    """The units of votes that win a seat (with "hagenbach-bischoff": that must be exceeded)."""
    if quota == "droop":
        return Fraction(votes // (seats + 1) + 1)
    if quota == "hare":
        return Fraction(votes, seats)
    if quota == "hagenbach-bischoff":
        return Fraction(votes, seats + 1)
    raise UsageError(f"quota={quota!r} is not possible.", fix=f"Choose one of {', '.join(get_args(Quota))}.")


@dataclass(frozen=True)
class _Stage:
    """Where a count stands.

    Attributes
    ----------
    elected, waiting, hopeful : frozenset of int
        Those elected, those of them whose surplus waits to be passed on, and those who are neither elected nor
        excluded.
    papers : mapping of int to parcels
        Of the waiting and the hopeful.
    last : mapping of int to parcels
        What each got at the last count at which anything came.
    history : tuple of mappings
        Votes of the hopeful at each count.
    came : Step
        How the count came here.
    """

    elected: frozenset[int]
    waiting: frozenset[int]
    hopeful: frozenset[int]
    papers: Mapping[int, Parcels]
    last: Mapping[int, Parcels]
    history: tuple[Mapping[int, Fraction], ...]
    came: Step


@dataclass(frozen=True)
class _Count:
    """A count of ballots under one set of rules."""

    ballots: Profile
    seats: int
    quota: Fraction
    reached: Callable[[Fraction, Fraction], bool]
    transfer: Transfer
    grain: Fraction | None
    backwards: bool
    ties: TieBreak
    log: Log

    def start(self) -> _Stage:
        """Every ballot lies with its first choice."""
        everybody = np.ones(self.ballots.n_candidates, dtype=bool)
        papers = self._pass_on(first_parcels(self.ballots.counts, self.ballots.denominator), everybody)
        hopeful = frozenset(range(self.ballots.n_candidates))
        return _Stage(
            frozenset(), frozenset(), hopeful, papers, papers, (), Step("Every ballot goes to its first choice.")
        )

    def key(self, stage: _Stage) -> Hashable:
        """Equal for stages that go on alike."""
        return (
            stage.elected,
            stage.waiting,
            stage.hopeful,
            _mark(stage.papers),
            _mark(stage.last) if self.transfer == "last-parcel" else None,
            tuple(tuple(votes.items()) for votes in stage.history) if self.backwards else None,
        )

    def step(self, stage: _Stage) -> list[_Stage]:
        """One count: who has how many votes, who is elected, and whose papers are passed on."""
        self.log(stage.came.text, **stage.came.data)
        if len(stage.elected) == self.seats:
            return []
        votes = {c: votes_of(stage.papers.get(c, ())) for c in sorted(stage.hopeful)}
        new = [c for c in votes if self.reached(votes[c], self.quota)]
        self._note(stage, votes, new)
        elected, hopeful = stage.elected.union(new), stage.hopeful.difference(new)
        history = (*stage.history, votes)
        if len(elected) + len(hopeful) <= self.seats:
            rest = self._list(hopeful)
            came = Step(
                f"{listed(rest)} {'take' if len(rest) != 1 else 'takes'} what seats are left.", {"elected": rest}
            )
            return [_Stage(elected | hopeful, frozenset(), frozenset(), {}, {}, history, came)]
        above = {c: votes_of(stage.papers[c]) - self.quota for c in stage.waiting.union(new)}
        waiting = frozenset(c for c, surplus in above.items() if surplus > 0)
        now = _Stage(elected, waiting, hopeful, stage.papers, stage.last, history, stage.came)
        if len(elected) == self.seats:
            return [replace(now, came=Step("All seats are filled."))]
        if waiting:
            most = max(above.values())
            tied = self._earlier([c for c in sorted(waiting) if above[c] == most], history, max)
            return self._each(tied, self.ties.favoured(tied), "has the largest surplus", now, self._pass_surplus)
        without = [c for c in sorted(hopeful) if votes[c] == 0]
        if without and len(elected) + len(hopeful) - len(without) >= self.seats:
            # No votes move, so that the order in which they are excluded makes no difference.
            came = Step(f"Without votes, and excluded: {self._names(without)}.", {"excluded": self._list(without)})
            return [replace(now, hopeful=hopeful.difference(without), came=came)]
        fewest = min(votes[c] for c in hopeful)
        tied = self._earlier([c for c in sorted(hopeful) if votes[c] == fewest], history, min)
        return self._each(tied, self.ties.disfavoured(tied), "is excluded", now, self._exclude)

    def _each(
        self,
        tied: list[int],
        chosen: list[int],
        what: str,
        stage: _Stage,
        move: Callable[[_Stage, int], _Stage],
    ) -> list[_Stage]:
        names = self.ballots.candidates
        if len(tied) > 1:
            self.log(settled([names[c] for c in tied], [names[c] for c in chosen], what), tied=self._list(tied))
        return [move(stage, c) for c in chosen]

    def _pass_surplus(self, stage: _Stage, c: int) -> _Stage:
        papers = stage.papers[c]
        votes = votes_of(papers)
        surplus = votes - self.quota
        hopeful = self._mask(stage.hopeful)
        if self.transfer == "last-parcel":
            papers = stage.last[c]
            movable = transferable(papers, hopeful, self.ballots.levels, self.ballots.counts)
            factor = min(Fraction(1), surplus / movable) if movable else Fraction(1)
        else:
            factor = surplus / votes
        got = self._pass_on(papers, hopeful, factor)
        return self._move(stage, c, got, surplus, f"The surplus of {self.ballots.candidates[c]}, {number(surplus)},")

    def _exclude(self, stage: _Stage, c: int) -> _Stage:
        hopeful = stage.hopeful - {c}
        papers = stage.papers.get(c, ())
        got = self._pass_on(papers, self._mask(hopeful))
        votes = votes_of(papers)
        return self._move(stage, c, got, votes, f"{self.ballots.candidates[c]} is excluded; {number(votes)}")

    def _move(self, stage: _Stage, source: int, got: dict[int, Parcels], votes: Fraction, what: str) -> _Stage:
        """The stage after the papers of a candidate have been passed on."""
        names = self.ballots.candidates
        gains = {names[c]: votes_of(parcels) for c, parcels in got.items()}
        lost = votes - sum(gains.values(), Fraction(0))
        to = [f"{name} +{number(gain)}" for name, gain in gains.items()] + [f"nobody {number(lost)}"] * (lost != 0)
        data = {"source": names[source], "gains": gains, "lost": lost}
        came = Step(f"{what} goes to: {', '.join(to) or 'nobody'}.", data)
        papers = {c: parcels for c, parcels in stage.papers.items() if c != source}
        last = {c: parcels for c, parcels in stage.last.items() if c != source} | got
        for c, parcels in got.items():
            papers[c] = merged_parcels([*papers.get(c, ()), *parcels])
        waiting, hopeful = stage.waiting - {source}, stage.hopeful - {source}
        return _Stage(stage.elected, waiting, hopeful, papers, last, stage.history, came)

    def _pass_on(
        self, papers: Parcels, hopeful: Bool[np.ndarray, " candidates"], factor: Fraction = Fraction(1)
    ) -> dict[int, Parcels]:
        levels, counts = self.ballots.levels, self.ballots.counts
        return passed_on(papers, hopeful, levels, counts, factor=factor, grain=self.grain)

    def _earlier(
        self, tied: list[int], history: tuple[Mapping[int, Fraction], ...], pick: Callable[..., Fraction]
    ) -> list[int]:
        """The tied, or those of them whom the last count picks at which their votes differed."""
        for votes in reversed(history) if self.backwards else ():
            if len(tied) > 1 and all(c in votes for c in tied):
                best = pick(votes[c] for c in tied)
                tied = [c for c in tied if votes[c] == best]
        return tied

    def _mask(self, some: Iterable[int]) -> Bool[np.ndarray, " candidates"]:
        mask = np.zeros(self.ballots.n_candidates, dtype=bool)
        mask[list(some)] = True
        return mask

    def _note(self, stage: _Stage, votes: Mapping[int, Fraction], new: list[int]) -> None:
        names = self.ballots.candidates
        done = f", {self._names(stage.elected)} being elected" if stage.elected else ""
        standing = named_scores([names[c] for c in votes], list(votes.values()), most=len(names))
        wins = f" {self._names(new)} {'reach' if len(new) > 1 else 'reaches'} the quota." if new else ""
        self.log(
            f"Count {len(stage.history) + 1}{done}: {standing}; the quota is {number(self.quota)}.{wins}",
            votes={names[c]: n for c, n in votes.items()},
            quota=self.quota,
            elected=self._list(new),
        )

    def _list(self, some: Iterable[int]) -> list[str]:
        return [self.ballots.candidates[c] for c in sorted(some)]

    def _names(self, some: Iterable[int]) -> str:
        return listed(self._list(some))


def _mark(papers: Mapping[int, Parcels]) -> Hashable:
    return tuple((c, tuple((parcel.value, parcel.ballots.tobytes()) for parcel in papers[c])) for c in sorted(papers))
