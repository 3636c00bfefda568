"""Axioms that speak of one profile: what must, or must not, be among its winners."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from pluralism.social_choice.axioms.check import AxiomCheck, Chooser, violation
from pluralism.social_choice.axioms.dominance import condorcet_loser
from pluralism.social_choice.committees import listed
from pluralism.social_choice.majority import condorcet_winner, smith_set
from pluralism.social_choice.profile import Profile

__all__ = [
    "check_condorcet",
    "check_condorcet_loser",
    "check_majority",
    "check_pareto",
    "check_smith",
    "majority_choice",
]


def majority_choice(profile: Profile) -> int | None:
    """The candidate whom more than half of all voters rank alone at the top, where there is one."""
    first = profile.levels == 0
    alone = first & (first.sum(axis=1, keepdims=True) == 1)
    votes = profile.counts @ alone.astype(np.int64)
    best = int(votes.argmax())
    return best if 2 * int(votes[best]) > profile.total else None


def check_majority(choose: Chooser, profile: Profile) -> AxiomCheck:
    """Whoever more than half rank first, alone, is the only winner."""
    return _sole_winner("majority", "is ranked first by more than half", majority_choice(profile), choose, profile)


def check_condorcet(choose: Chooser, profile: Profile) -> AxiomCheck:
    """Whoever beats every other candidate is the only winner."""
    best = condorcet_winner(profile.margins)
    return _sole_winner("condorcet", "beats every other candidate", best, choose, profile)


def check_condorcet_loser(choose: Chooser, profile: Profile) -> AxiomCheck:
    """Whoever is beaten by every other candidate does not win."""
    worst = condorcet_loser(profile.margins)
    if worst is None:
        return AxiomCheck("condorcet_loser", "vacuous", "nobody is beaten by every other candidate")
    name, winners = profile.candidates[worst], choose(profile)
    if name in winners:
        text = f"{name} is beaten by every other candidate, and wins"
        return violation("condorcet_loser", text, (profile,), (winners,))
    return AxiomCheck("condorcet_loser", "holds", f"{name} is beaten by every other candidate, and does not win")


def check_smith(choose: Chooser, profile: Profile) -> AxiomCheck:
    """All winners are in the smallest set whose members beat everybody outside."""
    inside = [profile.candidates[c] for c in smith_set(profile.margins)]
    if len(inside) == profile.n_candidates:
        return AxiomCheck("smith", "vacuous", "the Smith set is everybody")
    winners = choose(profile)
    outside = [name for name in winners if name not in inside]
    if outside:
        text = f"{listed(outside)} {_win(outside)} outside the Smith set of {listed(inside)}"
        return violation("smith", text, (profile,), (winners,))
    return AxiomCheck("smith", "holds", f"{listed(winners)} {_win(winners)}, of the Smith set of {listed(inside)}")


def check_pareto(choose: Chooser, profile: Profile) -> AxiomCheck:
    """Nobody wins over whom all voters rank some other candidate."""
    below: Int64[np.ndarray, " candidates"] = (profile.support == profile.total).argmax(axis=0)
    dominated = [c for c in range(profile.n_candidates) if profile.support[below[c], c] == profile.total]
    if not dominated:
        return AxiomCheck("pareto", "vacuous", "voters are unanimous about no two candidates")
    winners = choose(profile)
    for c in dominated:
        name, other = profile.candidates[c], profile.candidates[below[c]]
        if name in winners:
            return violation("pareto", f"all voters rank {other} above {name}, who wins", (profile,), (winners,))
    names = [profile.candidates[c] for c in dominated]
    return AxiomCheck("pareto", "holds", f"{listed(names)}, below whom all rank somebody else, {_win(names, 'not ')}")


def _sole_winner(axiom: str, why: str, best: int | None, choose: Chooser, profile: Profile) -> AxiomCheck:
    if best is None:
        return AxiomCheck(axiom, "vacuous", f"nobody {why}")
    name, winners = profile.candidates[best], choose(profile)
    if winners != (name,):
        return violation(axiom, f"{name} {why}, but {listed(winners)} {_win(winners)}", (profile,), (winners,))
    return AxiomCheck(axiom, "holds", f"{name} {why}, and wins")


def _win(names: tuple[str, ...] | list[str], negation: str = "") -> str:
    if negation:
        return "does not win" if len(names) == 1 else "do not win"
    return "wins" if len(names) == 1 else "win"
