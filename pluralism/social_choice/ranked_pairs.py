"""Ranked pairs (Tideman): majorities are locked in, strongest first, unless they contradict those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pluralism.errors import UsageError
from pluralism.social_choice.majority import Strength, link_strengths, named, ranking_of_relation, voters
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.ranked_pairs_kernels import lock, lock_groups, locked, relation
from pluralism.social_choice.rule import Log, explaining, rule
from pluralism.social_choice.split_cycle import undefeated

__all__ = ["ranked_pairs"]


@rule(
    "ranked-pairs",
    takes=Profile,
    source="T. N. Tideman, Independence of clones, SCW 1987; all ways to break ties as M. Brill and F. Fischer, 2012",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": True,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": True,
    },
)
def ranked_pairs(profile: Profile, log: Log, *, strength: Strength = "margins", most_states: int = 2_000) -> Outcome:
    """The candidates who come first when majorities are locked in, strongest first, in some order of equal ones.

    A majority is skipped where those locked before put its loser above its winner. Where equally strong majorities
    cannot all be kept, every order of them is followed; whoever comes first in one of them wins.

    Parameters
    ----------
    strength : {"margins", "winning_votes"}
        How strong a majority is.
    most_states : int
        Limit of the states that are followed (who wins some order is NP-complete to say); one order is followed to its
        end in any case. The winners are all among those of Split Cycle; a note says where the limit was met before that
        proved them complete.

    Notes
    -----
    With all orders of equal majorities, the rule is neutral and not independent of clones (Brill and Fischer 2012).
    """
    if most_states < 1:
        raise UsageError(f"most_states={most_states!r} is not possible.", fix="It is a whole number of at least 1.")
    names = profile.candidates
    links = link_strengths(profile, strength)
    majorities = _sorted(links)
    above = np.zeros((len(names), -(-len(names) // 64)), dtype=np.uint64)
    kept = np.zeros(len(majorities.winners), dtype=bool)
    group = majorities.lock(above, 0, kept)
    if explaining(log):
        _note_majorities(profile, log, majorities, links, kept, group)
    if group == majorities.n_groups:
        order = relation(above)
        winners = named(names, np.flatnonzero(~order.any(axis=0)).tolist())
        log(f"Nobody is above {', '.join(winners)}.")
        return Outcome("ranked-pairs", names, winners, ranking=ranking_of_relation(names, order))
    possible = set(np.flatnonzero(undefeated(links)[1]).tolist())
    won, states, complete = _every_order(majorities, above, group, possible, most_states)
    winners = named(names, won)
    log(
        f"{states:,} states follow the orders of equal majorities; in some of them {', '.join(winners)} "
        f"come{'s' if len(winners) == 1 else ''} first.",
        states=states,
        complete=complete,
    )
    others = named(names, possible - won)
    note = f"Ties lead to more than {most_states:,} states; in those not followed {', '.join(others)} may come first."
    return Outcome("ranked-pairs", names, winners, notes=() if complete else (note,))


@dataclass(frozen=True)
class _Majorities:
    """Majorities, strongest first, in groups of equal strength."""

    winners: Int64[np.ndarray, " majorities"]
    losers: Int64[np.ndarray, " majorities"]
    starts: Int64[np.ndarray, " bounds"]

    @property
    def n_groups(self) -> int:
        return len(self.starts) - 1

    def lock(self, above: UInt64[np.ndarray, "candidates words"], group: int, kept: Bool[np.ndarray, " all"]) -> int:
        """Lock groups from this one on, until one can be kept in several ways."""
        return int(lock_groups(above, self.winners, self.losers, self.starts, group, kept))

    def open(self, above: UInt64[np.ndarray, "candidates words"], group: int) -> list[tuple[int, int]]:
        """Majorities of a group that are neither implied nor contradicted."""
        rows = range(self.starts[group], self.starts[group + 1])
        pairs = [(int(self.winners[e]), int(self.losers[e])) for e in rows]
        return [(a, b) for a, b in pairs if not locked(above, a, b) and not locked(above, b, a)]


def _sorted(links: Int64[np.ndarray, "candidates candidates"]) -> _Majorities:
    winners, losers = np.nonzero(links)
    strengths = links[winners, losers]
    order = np.lexsort((losers, winners, -strengths))
    bounds = np.flatnonzero(np.diff(strengths[order])) + 1
    starts = np.concatenate([[0], bounds, [len(order)]]) if len(order) else np.zeros(1)
    return _Majorities(winners[order], losers[order], starts.astype(np.int64))


def _every_order(
    majorities: _Majorities,
    above: UInt64[np.ndarray, "candidates words"],
    group: int,
    possible: set[int],
    most_states: int,
) -> tuple[set[int], int, bool]:
    """Who comes first in some order, how many states were followed, and whether nobody else can."""
    won: set[int] = set()
    seen: set[tuple[int, bytes]] = set()
    stack = [(group, above)]
    kept = np.zeros(len(majorities.winners), dtype=bool)
    states = 0
    while stack and won != possible:
        group, above = stack.pop()
        first = _nobody_above(above) & possible
        key = (group, above.tobytes())
        if first <= won or key in seen:
            continue
        seen.add(key)
        if states >= most_states and won:
            return won, states, False
        states += 1
        choices = _contested(above, majorities.open(above, group))
        if not choices:
            group = majorities.lock(above, group, kept)
            if group == majorities.n_groups:
                won |= _nobody_above(above)
            else:
                stack.append((group, above))
        for a, b in choices:
            following = above.copy()
            lock(following, a, b)
            stack.append((group, following))
    return won, states, True


def _contested(above: UInt64[np.ndarray, "candidates words"], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of the open majorities, those of one cycle that they close; all that are on none are locked in place."""
    graph = relation(above)
    for a, b in pairs:
        graph[a, b] = True
    _, part = connected_components(csr_array(graph), directed=True, connection="strong")
    on_cycle = [(a, b) for a, b in pairs if part[a] == part[b]]
    for a, b in pairs:
        if part[a] != part[b]:
            lock(above, a, b)
    return [(a, b) for a, b in on_cycle if part[a] == part[on_cycle[0][0]]]


def _nobody_above(above: UInt64[np.ndarray, "candidates words"]) -> set[int]:
    return set(np.flatnonzero(~relation(above).any(axis=0)).tolist())


def _note_majorities(
    profile: Profile, log: Log, majorities: _Majorities, links: np.ndarray, kept: np.ndarray, group: int
) -> None:
    names = profile.candidates
    for e in range(majorities.starts[group]):
        a, b = majorities.winners[e], majorities.losers[e]
        strength = voters(profile, links[a, b])
        log(
            f"{names[a]} over {names[b]}, {number(strength)}: "
            + ("locked." if kept[e] else f"skipped, for {names[b]} is already above {names[a]}."),
            winner=names[a],
            loser=names[b],
            strength=strength,
            locked=bool(kept[e]),
        )
    if group < majorities.n_groups:
        rows = range(majorities.starts[group], majorities.starts[group + 1])
        pairs = [(names[majorities.winners[e]], names[majorities.losers[e]]) for e in rows]
        strength = voters(profile, links[majorities.winners[rows[0]], majorities.losers[rows[0]]])
        log(
            f"{', '.join(f'{a} over {b}' for a, b in pairs[:8])}{', ...' if len(pairs) > 8 else ''}, each "
            f"{number(strength)}, cannot all be locked.",
            pairs=pairs,
            strength=strength,
        )
