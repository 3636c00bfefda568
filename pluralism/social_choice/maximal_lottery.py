"""Maximal lotteries: chances against which no other candidate, and no other lottery, has a majority."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from pluralism.errors import UsageError
from pluralism.social_choice.majority import named, smith_set
from pluralism.social_choice.outcome import Lottery
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.solvers.exact_linear import null_space_dimension, solve_exactly
from pluralism.solvers.symmetric_game import max_entropy_strategy, solve_symmetric_game

__all__ = ["maximal_lottery"]

LARGEST_EXACT = 100
"""Lotteries over more candidates than this are not worked out as fractions, whose digits would run to thousands."""


@rule(
    "maximal-lottery",
    takes=Profile,
    source="G. Kreweras 1965; P. C. Fishburn, Probabilistic social choice based on simple voting comparisons, RES 1984",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "clone_independence": True,
    },
)
def maximal_lottery(profile: Profile, log: Log, *, tie_break: Literal["max_entropy"] | None = None) -> Lottery:
    """The lottery that beats or ties with every candidate: its draw is preferred to any with probability 1/2 or more.

    Of a voter who compares the two not at all, or ties them, half counts on either side. The lottery is that of von
    Neumann's optimal strategy in the game of margins, also called the von Neumann winner.

    Parameters
    ----------
    tie_break : {"max_entropy"}, optional
        Where there are several maximal lotteries, take that of the largest entropy. Left out, it is one in their
        middle. Both give a chance to every candidate that has one in some maximal lottery.

    Notes
    -----
    The axioms are declared of the set of candidates that can be drawn. Lotteries themselves satisfy reinforcement, in
    that a lottery maximal for two electorates is maximal for both together (Brandl, Brandt and Seedig 2016).

    Found by an interior-point method among the candidates of the Smith set. Where the lottery is unique and on no more
    than 100 candidates, it is then computed and verified as fractions, which are its `exact`. Else it holds in floating
    point: `value` says what it guarantees, which differs from 1/2 by rounding alone.
    """
    if tie_break not in (None, "max_entropy"):
        raise UsageError(f"tie_break={tie_break!r} is not possible.", fix='Use tie_break="max_entropy", or None.')
    names = profile.candidates
    smith = smith_set(profile.margins)
    log(
        f"{', '.join(named(names, smith))} {'beats' if len(smith) == 1 else 'each beat'} everybody else.",
        smith_set=named(names, smith),
    )
    margins = np.ascontiguousarray(profile.margins[np.ix_(smith, smith)])
    solution = solve_symmetric_game(margins.astype(float))
    inside = np.flatnonzero(solution.support)
    among = margins[np.ix_(inside, inside)]
    dimension = null_space_dimension(among)
    shares = _verified(margins, inside) if dimension == 1 else None
    chances = np.zeros(len(names))
    where = np.array(smith)[inside]
    exact: tuple[Fraction, ...] | None = None
    if shares is not None:
        of = dict(zip(where.tolist(), shares, strict=True))
        exact = tuple(of.get(i, Fraction(0)) for i in range(len(names)))
        chances[:] = [float(share) for share in exact]
    elif dimension == 1:
        chances[where] = _polished(among.astype(float))
    elif tie_break == "max_entropy":
        chances[smith] = max_entropy_strategy(margins.astype(float), solution, dimension - 1)
    else:
        chances[where] = solution.strategy[inside]
    chances /= chances.sum()
    value = 0.5 if exact is not None else 0.5 + _guaranteed(profile, chances)
    shown = ", ".join(f"{names[i]} {chances[i]:.4g}" if exact is None else f"{names[i]} {exact[i]}" for i in where[:12])
    log(
        f"{shown}{', ...' if len(where) > 12 else ''} ties with each of these candidates and beats the others"
        f"{'' if dimension == 1 else ', and so do other lotteries'}.",
        probabilities={names[i]: float(chances[i]) for i in where},
        dimension=dimension - 1,
    )
    notes: tuple[str, ...] = ()
    if exact is None and (not solution.converged or (dimension == 1 and len(inside) <= LARGEST_EXACT)):
        notes = (f"The lottery is not verified: it guarantees {value:.9g}.",)
    return Lottery("maximal-lottery", names, chances, dimension == 1, value, notes, exact)


def _verified(
    margins: Int64[np.ndarray, "smith smith"], inside: Int64[np.ndarray, " support"]
) -> list[Fraction] | None:
    """The one lottery on a support as fractions, if it is positive there and beats everybody else strictly."""
    k = len(inside)
    if k > LARGEST_EXACT:
        return None
    among = margins[np.ix_(inside, inside)].tolist()
    # A null vector p that adds up to 1 solves (M + ones) p = ones.
    lottery = solve_exactly([[entry + 1 for entry in row] for row in among], [1] * k)
    if lottery is None or sum(lottery) != 1 or min(lottery) <= 0:
        return None
    outside = np.setdiff1d(np.arange(len(margins)), inside)
    gains = [sum(p * m for p, m in zip(lottery, margins[inside, z].tolist(), strict=True)) for z in outside]
    return lottery if all(gain > 0 for gain in gains) else None


def _polished(among: Float[np.ndarray, "support support"]) -> Float[np.ndarray, " support"]:
    """The one lottery on its support, by one linear system."""
    scaled = among / max(float(np.abs(among).max()), 1.0)
    return np.linalg.solve(scaled + 1.0, np.ones(len(among)))


def _guaranteed(profile: Profile, chances: Float[np.ndarray, " candidates"]) -> float:
    """How far the draw's least chance to be preferred to a candidate is below 1/2, as a negative number."""
    against = chances @ profile.margins
    return min(float(against.min()), 0.0) / (2 * profile.total)
