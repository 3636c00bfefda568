"""Kemeny's rule: the order with which voters disagree on the fewest pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, product
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.random import RNG
from pluralism.social_choice.kemeny_kernels import SATURATED, best_orders, trace_orders
from pluralism.social_choice.kemeny_search import disagreement, search
from pluralism.social_choice.majority import components, named, voters
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule

__all__ = ["KemenyConsensus", "kemeny", "kemeny_consensus"]

LARGEST_EXACT = 26
"""More candidates in one part of the majority graph than this are never searched exactly (half a gibibyte)."""


@dataclass(frozen=True)
class KemenyConsensus:
    """Orders of least disagreement.

    Attributes
    ----------
    candidates : tuple of str
    rankings : tuple of tuples of str
        Best orders, best candidate first; at least one.
    n_rankings : int, optional
        How many orders are best; None where that is not known, or 2**62 or more in one part.
    winners : tuple of str
        Who comes first in some best order; where `winners_exact` is False, in the order found.
    winners_exact : bool
        Whether `winners` are proved to be all of them.
    disagreement : Fraction
        Over all pairs of candidates, the voters that rank the pair the other way round.
    lower_bound : Fraction
        No order has fewer.
    solver : str
        How the orders were found.
    """

    candidates: tuple[str, ...]
    rankings: tuple[tuple[str, ...], ...]
    n_rankings: int | None
    winners: tuple[str, ...]
    winners_exact: bool
    disagreement: Fraction
    lower_bound: Fraction
    solver: str

    @property
    def optimal(self) -> bool:
        """Whether the orders are proved to be best."""
        return self.disagreement == self.lower_bound

    @property
    def status(self) -> str:
        """Either "optimal" or "feasible"."""
        return "optimal" if self.optimal else "feasible"

    @property
    def complete(self) -> bool:
        """Whether all best orders are listed."""
        return self.n_rankings == len(self.rankings)

    def to_frame(self) -> pa.Table:
        """Columns `candidate`, and `rank_1`, ... for each order listed."""
        columns: dict[str, Any] = {"candidate": list(self.candidates)}
        for i, ranking in enumerate(self.rankings, 1):
            place = {name: rank for rank, name in enumerate(ranking, 1)}
            columns[f"rank_{i}"] = [place[name] for name in self.candidates]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; Fractions as "p/q"."""
        return {
            "candidates": list(self.candidates),
            "rankings": [list(ranking) for ranking in self.rankings],
            "n_rankings": self.n_rankings,
            "winners": list(self.winners),
            "winners_exact": self.winners_exact,
            "disagreement": json_ready(self.disagreement),
            "lower_bound": json_ready(self.lower_bound),
            "status": self.status,
            "solver": self.solver,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        first = " > ".join(self.rankings[0][:8]) + (" > ..." if len(self.candidates) > 8 else "")
        many = "an unknown number of" if self.n_rankings is None else f"{self.n_rankings:,}"
        others = "" if self.n_rankings == 1 else f", one of {many} orders"
        proof = "" if self.optimal else f", not proved: at least {number(self.lower_bound)}"
        return f"KemenyConsensus({first}{others}; disagreement {number(self.disagreement)}{proof}; {self.solver})"


@rule(
    "kemeny",
    takes=Profile,
    source="J. G. Kemeny, Mathematics without numbers, Daedalus 1959; H. P. Young and A. Levenglick, 1978",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": True,
    },
)
def kemeny(profile: Profile, log: Log, *, exact_up_to: int = 22, starts: int = 20, rng: RNG = 0) -> Outcome:
    """Whoever comes first in an order of all candidates with which voters disagree on the fewest pairs.

    Parameters are those of `kemeny_consensus`, which gives the orders; the outcome has a ranking where one order alone
    is best. As a rule of winners it fails reinforcement; as a rule of orders it satisfies it.
    """
    consensus = kemeny_consensus(profile, most=1, exact_up_to=exact_up_to, starts=starts, rng=rng)
    parts = components(profile.margins)
    if len(parts) > 1:
        log(
            "Everybody in an earlier part beats everybody in a later one: "
            + " | ".join(", ".join(named(profile.candidates, part)) for part in parts)
            + ".",
            parts=[named(profile.candidates, part) for part in parts],
        )
    log(
        f"{' > '.join(consensus.rankings[0])}: disagreement {number(consensus.disagreement)}, found by "
        f"{consensus.solver}.",
        ranking=consensus.rankings[0],
        disagreement=consensus.disagreement,
        lower_bound=consensus.lower_bound,
        rankings=consensus.n_rankings,
    )
    notes = []
    if not consensus.optimal:
        notes.append(
            f"The order is the best found, not proved best: disagreement {number(consensus.disagreement)}, at least "
            f"{number(consensus.lower_bound)} ({consensus.solver})."
        )
    if not consensus.winners_exact:
        notes.append("Other best orders may begin with other candidates.")
    ranking = tuple((name,) for name in consensus.rankings[0]) if consensus.n_rankings == 1 else None
    return Outcome("kemeny", profile.candidates, consensus.winners, ranking=ranking, notes=tuple(notes))


def kemeny_consensus(
    profile: Profile, *, most: int = 1000, exact_up_to: int = 22, starts: int = 20, rng: RNG = 0
) -> KemenyConsensus:
    """Orders of all candidates with which voters disagree on the fewest pairs.

    Parameters
    ----------
    profile : Profile
    most : int
        How many of the best orders are listed.
    exact_up_to : int
        Candidates that are searched exactly, at most 26. They are counted within a part of candidates each of which
        beats everybody in the later parts, so that a profile with clear majorities may have many more.
    starts : int
        Beyond that, starts of the insertion search. A linear program (up to 80 candidates) or cycles of three
        majorities bound the disagreement from below, and may prove that the order found is best, in floating-point
        arithmetic to 1e-6 of the largest margin.
    rng : int, Generator or None
        Of the random starts.

    Notes
    -----
    Exact search is dynamic programming over sets in 2^k k steps (Betzler et al., Theoretical Computer Science 2009).
    Every best order keeps the parts apart (M. Truchon, An extension of the Condorcet criterion, 1998).
    """
    if most < 1 or starts < 1 or not 1 <= exact_up_to <= LARGEST_EXACT:
        raise UsageError(
            f"most={most!r}, exact_up_to={exact_up_to!r}, starts={starts!r} are not possible.",
            fix=f"most and starts are at least 1, exact_up_to is between 1 and {LARGEST_EXACT}.",
        )
    support = profile.support
    parts = [
        _solve(support, part, most=most, exact=len(part) <= exact_up_to, starts=starts, rng=rng)
        for part in components(profile.margins)
    ]
    orders = [
        tuple(profile.candidates[i] for i in chain.from_iterable(order))
        for order in islice(product(*(part.orders for part in parts)), most)
    ]
    first = [i for part in parts for i in part.orders[0]]
    cost = disagreement(support, first)
    gap = sum(part.gap for part in parts)
    counts = [part.n_orders for part in parts]
    return KemenyConsensus(
        candidates=profile.candidates,
        rankings=tuple(orders),
        n_rankings=None if None in counts else prod(count for count in counts if count is not None),
        winners=named(profile.candidates, parts[0].firsts),
        winners_exact=parts[0].exact,
        disagreement=voters(profile, cost),
        lower_bound=voters(profile, cost - gap),
        solver="; ".join(dict.fromkeys(part.solver for part in parts)),
    )


@dataclass(frozen=True)
class _Part:
    """Best orders of one part of the majority graph; `gap` is how far they may be from the least disagreement."""

    orders: list[list[int]]
    n_orders: int | None
    firsts: list[int]
    exact: bool
    gap: int
    solver: str


def _solve(
    support: Int64[np.ndarray, "candidates candidates"],
    part: list[int],
    *,
    most: int,
    exact: bool,
    starts: int,
    rng: RNG,
) -> _Part:
    inside = np.ascontiguousarray(support[np.ix_(part, part)])
    if exact:
        against = inside.copy()
        np.fill_diagonal(against, 0)
        best = best_orders(against)
        begins, counts = trace_orders(against, best)
        n = int(counts[-1])
        orders = [[part[i] for i in order] for order in islice(_walk(against, best, begins), most)]
        firsts = [part[i] for i in range(len(part)) if begins[1 << i]]
        return _Part(orders, None if n == SATURATED else n, firsts, True, 0, "dynamic programming over sets")
    found = search(inside, starts=starts, rng=rng)
    order = [part[i] for i in found.order]
    return _Part([order], None, order[:1], False, found.disagreement - found.bound, found.solver)


def _walk(
    against: Int64[np.ndarray, "k k"], best: Int64[np.ndarray, " sets"], begins: Bool[np.ndarray, " sets"]
) -> Iterator[list[int]]:
    """Best orders, one after the other."""
    k = len(against)
    total = against.sum(axis=0)

    def onwards(members: int, order: list[int]) -> Iterator[list[int]]:
        if len(order) == k:
            yield order
        for x in range(k):
            after = members | 1 << x
            if after != members and begins[after]:
                cost = int(total[x] - against[order, x].sum())
                if best[members] + cost == best[after]:
                    yield from onwards(after, [*order, x])

    yield from onwards(0, [])
