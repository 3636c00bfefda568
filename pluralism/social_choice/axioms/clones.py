"""Clones: candidates that are neighbours on every ballot, and rules that pay no heed to how many there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pluralism.social_choice.axioms.check import AxiomCheck, Chooser, violation
from pluralism.social_choice.committees import listed
from pluralism.social_choice.profile import Profile

__all__ = ["check_clone_independence", "clone_sets", "with_clone"]


def clone_sets(profile: Profile) -> list[tuple[str, ...]]:
    """Sets of two or more candidates, not all, that no ballot ties with or ranks around anybody else.

    The definition is N. Tideman's (Independence of Clones as a Criterion for Voting Rules, Social Choice and Welfare
    1987). Candidates that a ballot does not list count as tied last.

    Returns
    -------
    list of tuples of str
        Smaller sets first.
    """
    ballots = profile.compressed()
    m = profile.n_candidates
    places = np.where(ballots.levels < 0, m, ballots.levels).astype(np.int64)
    order = np.argsort(places[0], kind="stable")
    found = []
    # Clones are neighbours on every ballot, so on the first.
    for start in range(m):
        for stop in range(start + 2, m + 1):
            members = order[start:stop]
            if len(members) == m:
                continue
            low = places[:, members].min(axis=1, keepdims=True)
            high = places[:, members].max(axis=1, keepdims=True)
            between = ((places >= low) & (places <= high)).sum(axis=1)
            if (between == len(members)).all():
                found.append(tuple(sorted(members.tolist())))
    found.sort(key=lambda members: (len(members), members))
    return [tuple(profile.candidates[c] for c in members) for members in found]


def with_clone(profile: Profile, name: str, rng: np.random.Generator) -> Profile:
    """The profile with a clone of a candidate, right above or below it, or tied, on each ballot that lists it."""
    candidate = int(profile.index([name])[0])
    clone = name
    while clone in profile.candidates:
        clone += "'"
    levels = profile.levels.astype(np.int64) * 3 + 1
    levels[profile.levels < 0] = -1
    steps = rng.choice([(-1, -1), (1, 1), (-1, 1), (0, 0)])
    parts = rng.integers(0, profile.counts + 1)
    rows, counts = [], []
    for step, count in zip(steps, (parts, profile.counts - parts), strict=True):
        new = np.where(profile.levels[:, candidate] < 0, -1, levels[:, candidate] + step)
        rows.append(np.concatenate([levels, new[:, None]], axis=1))
        counts.append(count)
    names = [*profile.candidates, clone]
    return Profile(names, np.concatenate(rows), np.concatenate(counts), profile.denominator, profile.unlisted)


def check_clone_independence(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """With or without further clones of a candidate, the others win alike, and so does one of the clones.

    Tried are: to take out clones that there are, and to add clones of the candidates.
    """
    tried = 0
    for fewer, more, clones in _pairs(profile, rng, tries):
        tried += 1
        few, many = choose(fewer), choose(more)
        kept = next(name for name in clones if name in fewer.candidates)
        others = [name for name in fewer.candidates if name not in clones]
        wrong = [name for name in others if (name in few) != (name in many)]
        if wrong or (kept in few) != any(name in many for name in clones):
            text = f"{listed(few)} with {kept} alone, {listed(many)} with the clones {listed(list(clones))}"
            return violation("clone_independence", text, (fewer, more), (few, many), tried)
    if not tried:
        return AxiomCheck("clone_independence", "vacuous", "nobody can have clones", 0)
    return AxiomCheck("clone_independence", "not_refuted", "clones taken out or added changed nothing", tried)


def _pairs(
    profile: Profile, rng: np.random.Generator, tries: int
) -> Iterator[tuple[Profile, Profile, tuple[str, ...]]]:
    """Profiles with one of some clones and with all of them."""
    done = 0
    for clones in clone_sets(profile)[: (tries + 1) // 2]:
        for kept in clones:
            if done == tries:
                return
            fewer = profile.without([name for name in clones if name != kept])
            if fewer.total == profile.total:
                done += 1
                yield fewer, profile, clones
    alone = _never_tied(profile)
    for _ in range(tries - done if alone else 0):
        name = profile.candidates[alone[int(rng.integers(len(alone)))]]
        more = with_clone(profile, name, rng)
        yield profile, more, (name, more.candidates[-1])


def _never_tied(profile: Profile) -> list[int]:
    """Candidates whom no ballot that was cast ties with another: of the others nobody new would be a clone."""
    places = profile.levels[profile.counts > 0]
    together = (places[:, :, None] == places[:, None, :]).any(axis=0)
    return np.flatnonzero(together.sum(axis=1) == 1).tolist()
