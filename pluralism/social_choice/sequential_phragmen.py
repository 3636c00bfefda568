"""Phragmén's sequential rule: voters earn money at one speed, and buy a candidate as soon as they can pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from pluralism.random import RNG
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.committees import TieBreak, after, check_seats, committee_outcome, follow, listed, settled
from pluralism.social_choice.outcome import CommitteeOutcome, number
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.voter_money import VoterMoney

__all__ = ["Purchases", "buy_by_time", "sequential_phragmen"]

Purchases = tuple[frozenset[int], VoterMoney]
"""Those elected, and what voters have left."""


@rule(
    "sequential-phragmen",
    takes=ApprovalProfile,
    source="E. Phragmén 1894; M. Brill, R. Freeman, S. Janson and M. Lackner, AAAI 2017",
    axioms={"anonymity": True, "neutrality": True},
)
def sequential_phragmen(
    profile: ApprovalProfile,
    log: Log,
    *,
    seats: int,
    order: Sequence[str] | None = None,
    rng: RNG = None,
    most: int = 100,
) -> CommitteeOutcome:
    """Fill the seats one by one with the candidate whose supporters first have the price of 1 together.

    All voters earn alike and without pause; those who approve the candidate elected pay all they have. Candidates whom
    nobody approves are elected last, and are tied.

    Parameters
    ----------
    profile : ApprovalProfile
    log : Log
    seats : int
        Size of the committee.
    order, rng, most
        How ties are broken, and how many tied committees are listed, as in `sequential_pav`.
    """
    size, ties = check_seats(seats, profile.n_candidates), TieBreak(profile.candidates, order, rng)
    ballots = profile.compressed()
    start: Purchases = (frozenset(), VoterMoney.equal(Fraction(0), len(ballots)))
    step = buy_by_time(ballots, size, ties, log)
    found, complete = follow(start, step, lambda state: (state[0], state[1].key), lambda state: state[0], most)
    return committee_outcome("sequential-phragmen", profile.candidates, found, complete)


def buy_by_time(
    ballots: ApprovalProfile, seats: int, ties: TieBreak, log: Log
) -> Callable[[Purchases], list[Purchases]]:
    """The step of a count in which voters earn until they can buy, beginning with what they have.

    Parameters
    ----------
    ballots : ApprovalProfile
        Compressed.
    seats : int
    ties : TieBreak
    log : Log
    """
    names, approves = ballots.candidates, ballots.approves

    def step(state: Purchases) -> list[Purchases]:
        elected, money = state
        if len(elected) == seats:
            return []
        owners = money.owners(approves, ballots.counts)
        waits: dict[int, Fraction] = {}
        for c in range(len(names)):
            supporters = int(owners[:, c].sum())
            if c not in elected and supporters:
                waits[c] = (1 - money.held(owners[:, c])) / supporters
        if not waits:
            return _anybody(elected, money, names, ties, log)
        soonest = min(waits.values())
        tied = [c for c, wait in waits.items() if wait == soonest]
        chosen = ties.favoured(tied)
        so_far = [names[c] for c in sorted(elected)]
        log(
            f"{after(so_far)}voters earn {number(soonest * ballots.denominator)} each until supporters can pay. "
            + settled([names[c] for c in tied], [names[c] for c in chosen], "is elected"),
            elected=so_far,
            waits={names[c]: wait * ballots.denominator for c, wait in waits.items()},
            chosen=[names[c] for c in chosen],
        )
        richer = money.earned(soonest)
        return [(elected | {c}, richer.paid(approves[:, c])) for c in chosen]

    return step


def _anybody(
    elected: frozenset[int], money: VoterMoney, names: tuple[str, ...], ties: TieBreak, log: Log
) -> list[Purchases]:
    """The next state when nobody approves any of the others."""
    tied = [c for c in range(len(names)) if c not in elected]
    chosen = ties.favoured(tied)
    so_far = [names[c] for c in sorted(elected)]
    log(
        f"{after(so_far)}nobody approves {listed([names[c] for c in tied])}. "
        + settled([names[c] for c in tied], [names[c] for c in chosen], "is elected"),
        elected=so_far,
        chosen=[names[c] for c in chosen],
    )
    return [(elected | {c}, money) for c in chosen]
