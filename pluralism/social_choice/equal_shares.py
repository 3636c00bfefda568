"""The method of equal shares: every voter has the same share of the seats to spend, and like costs are shared alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

from pluralism.errors import UsageError
from pluralism.random import RNG
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.committees import TieBreak, after, check_seats, committee_outcome, follow, settled
from pluralism.social_choice.outcome import CommitteeOutcome, number
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.sequential_phragmen import buy_by_time
from pluralism.social_choice.voter_money import VoterMoney

__all__ = ["Completion", "equal_shares"]

Completion = Literal["none", "phragmen", "add-one"]
"""How seats are filled that voters cannot pay for with their shares."""


@rule(
    "equal-shares",
    takes=ApprovalProfile,
    source="D. Peters and P. Skowron, Proportionality and the Limits of Welfarism, EC 2020",
    axioms={"anonymity": True, "neutrality": True},
)
def equal_shares(
    profile: ApprovalProfile,
    log: Log,
    *,
    seats: int,
    completion: Completion = "phragmen",
    order: Sequence[str] | None = None,
    rng: RNG = None,
    most: int = 100,
) -> CommitteeOutcome:
    """Each voter gets seats / voters; a candidate costs 1, and is bought by those who approve it.

    In each round the candidate is elected for which supporters have to pay least each, where those who have less pay
    all they have. The rounds end when no supporters can pay. The committee satisfies EJR+ however it is completed.

    Parameters
    ----------
    profile : ApprovalProfile
    log : Log
    seats : int
        Size of the committee.
    completion : {"phragmen", "add-one", "none"}
        What becomes of seats that are left:

        - "none": they stay empty; if no ballot approves anybody, the committee is empty.
        - "phragmen": voters earn on from what they have left, as in `sequential_phragmen`.
        - "add-one": the rounds are run again with shares of seats + 1, seats + 2, ... while no more than `seats`
          candidates are bought, however ties are broken; what seats are left then are filled as with "phragmen".
    order, rng, most
        How ties are broken, and how many tied committees are listed, as in `sequential_pav`.
    """
    size, ties = check_seats(seats, profile.n_candidates), TieBreak(profile.candidates, order, rng)
    if completion not in get_args(Completion):
        raise UsageError(
            f"completion={completion!r} is not possible.", fix=f"Choose one of {', '.join(get_args(Completion))}."
        )
    ballots = profile.compressed()
    shares = size
    if completion == "add-one":
        shares = _raised_shares(ballots, size, most)
        log(f"Shares of {shares:,} seats are the largest that buy no more than {size:,}.", shares=shares)
    start = _Round(frozenset(), VoterMoney.equal(Fraction(shares, ballots.total), len(ballots)), False)
    step = _step(ballots, size, ties, log, complete=completion != "none")
    found, complete = follow(start, step, _key, lambda state: state.elected, most)
    notes = (f"shares of {shares} seats",) if shares > size else ()
    return committee_outcome("equal-shares", profile.candidates, found, complete, notes=notes)


class _Round(NamedTuple):
    """Those elected, what voters have left, and whether the shares are spent."""

    elected: frozenset[int]
    money: VoterMoney
    spent: bool


def _key(state: _Round) -> Hashable:
    return state.elected, state.money.key, state.spent


def _step(
    ballots: ApprovalProfile, seats: int, ties: TieBreak, log: Log, *, complete: bool
) -> Callable[[_Round], list[_Round]]:
    """The step of a count: a purchase by equal shares or, when there is none, by time."""
    names = ballots.candidates
    earn = buy_by_time(ballots, seats, ties, log)

    def step(state: _Round) -> list[_Round]:
        elected, money, spent = state
        caps: dict[int, Fraction] = {}
        if not spent:
            owners = money.owners(ballots.approves, ballots.counts)
            found = {c: money.lowest_cap(owners[:, c]) for c in range(len(names)) if c not in elected}
            caps = {c: cap for c, cap in found.items() if cap is not None}
        if not caps:
            return [_Round(*bought, True) for bought in earn((elected, money))] if complete else []
        least = min(caps.values())
        tied = [c for c, cap in caps.items() if cap == least]
        chosen = ties.favoured(tied)
        so_far = [names[c] for c in sorted(elected)]
        log(
            f"{after(so_far)}supporters of {names[tied[0]]} can pay with {number(least * ballots.denominator)} each, "
            f"the least of {len(caps)} that can be paid. "
            + settled([names[c] for c in tied], [names[c] for c in chosen], "is elected"),
            elected=so_far,
            caps={names[c]: cap * ballots.denominator for c, cap in caps.items()},
            chosen=[names[c] for c in chosen],
        )
        return [_Round(elected | {c}, money.paid(ballots.approves[:, c], least), False) for c in chosen]

    return step


def _raised_shares(ballots: ApprovalProfile, seats: int, most: int) -> int:
    """The shares, in seats, before those that buy too many; or the first that buy enough."""
    all_ways = TieBreak(ballots.candidates, None, None)
    step = _step(ballots, ballots.n_candidates, all_ways, lambda text, /, **data: None, complete=False)
    shares = seats
    while True:
        start = _Round(frozenset(), VoterMoney.equal(Fraction(shares, ballots.total), len(ballots)), False)
        ends, _ = follow(start, step, _key, lambda state: state.elected, most)
        sizes = [len(end) for end in ends]
        if max(sizes) > seats:
            return shares - 1
        unbought = ballots.scores[[c for c in range(ballots.n_candidates) if c not in frozenset.intersection(*ends)]]
        if min(sizes) == seats or not unbought.any():
            return shares
        # Nobody can buy a new candidate with less than a price shared among all who approve it.
        shares = max(shares + 1, -(-ballots.total // int(unbought.max())) - 1)
