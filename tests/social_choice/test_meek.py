"""Meek's count against its equations in floating point, its independence of the excluded, and real elections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preflib_elections import preflib_profile

from pluralism.errors import DataError, UsageError
from pluralism.social_choice import Profile
from pluralism.social_choice.meek import meek
from pluralism.testing.collective_strategies import profiles

ELECTED = json.loads((Path(__file__).parent / "golden" / "public_elections.json").read_text())


def shares_of(profile: Profile, keep: np.ndarray) -> tuple[np.ndarray, float]:
    """Votes of each candidate, and those that nobody keeps, by walking down every ballot."""
    votes, lost = np.zeros(profile.n_candidates), 0.0
    for order, count in zip(profile.to_orders(), profile.counts.tolist(), strict=True):
        left = 1.0
        for tie in order:
            some = [profile.candidates.index(name) for name in tie if keep[profile.candidates.index(name)] > 0]
            got = [left / len(some) * keep[c] for c in some]
            for c, part in zip(some, got, strict=True):
                votes[c] += part * count
            left -= sum(got)
        lost += left * count
    return votes, lost


def plain_meek(profile: Profile, seats: int) -> tuple[str, ...] | None:
    """The committee, or None where votes are so close that rounding decides."""
    m = profile.n_candidates
    keep, elected, hopeful = np.ones(m), set(), set(range(m))
    while len(elected) < seats and len(elected) + len(hopeful) > seats:
        for _ in range(3000):
            votes, lost = shares_of(profile, keep)
            quota = (profile.total - lost) / (seats + 1)
            if any(abs(votes[c] - quota) < 1e-5 * profile.total for c in hopeful):
                return None
            new = {c for c in hopeful if votes[c] > quota}
            elected |= new
            hopeful -= new
            if not new and all(votes[c] - quota < 1e-10 * profile.total for c in elected):
                break
            for c in elected:
                keep[c] = min(keep[c] * quota / votes[c], 1.0)
        if len(elected) >= seats or len(elected) + len(hopeful) <= seats:
            break
        ranked = sorted(hopeful, key=lambda c: votes[c])
        if votes[ranked[1]] - votes[ranked[0]] < 1e-4 * profile.total:
            return None
        keep[ranked[0]] = 0.0
        hopeful.remove(ranked[0])
    won = elected if len(elected) >= seats else elected | hopeful
    return tuple(name for c, name in enumerate(profile.candidates) if c in won)


@settings(max_examples=25)
@given(profiles(min_candidates=2, max_candidates=4, max_count=9), st.data())
def test_the_committee_of_the_equations(profile, data):
    seats = data.draw(st.integers(1, profile.n_candidates - 1))
    expected = plain_meek(profile, seats)
    outcome = meek(profile, seats=seats)
    if expected is not None:
        assert outcome.committees == (expected,)
    assert all(len(committee) == seats for committee in outcome.committees)


def test_votes_and_quotas_of_an_example():
    profile = Profile.from_orders([["a", "b"], ["a", "c"], ["b"], ["c"], ["d"]], counts=[6, 4, 3, 3, 1])
    explained = meek.explain(profile, seats=2)
    counts = [step.data for step in explained.steps if "quota" in step.data]
    assert counts[0]["quota"] == pytest.approx(17 / 3)
    # a keeps 17/30 of each of its ten votes.
    assert counts[1]["votes"] == pytest.approx({"a": 17 / 3, "b": 3 + 6 * 13 / 30, "c": 3 + 4 * 13 / 30, "d": 1})
    assert counts[2]["quota"] == pytest.approx(16 / 3)
    assert explained.outcome.committees == (("a", "b"),)


@settings(max_examples=30)
@given(profiles(min_candidates=3, max_candidates=5, max_count=9), st.integers(1, 2))
def test_the_excluded_might_as_well_not_have_stood(profile, seats):
    explained = meek.explain(profile, seats=seats)
    excluded = [step.text.split(" ")[0] for step in explained.steps if step.text.endswith(" is excluded.")]
    if explained.outcome.unique and excluded and not any("tied" in step.text for step in explained.steps):
        without = profile.without(excluded[:1])
        assert meek(without, seats=seats).committees == explained.outcome.committees


def test_ties_are_followed_in_all_ways_or_settled_as_asked():
    profile = Profile.from_orders([["a"], ["b"], ["c"]])
    assert len(meek(profile, seats=2).committees) == 3
    assert meek(profile, seats=2, order=["b", "c"]).committees == (("b", "c"),)
    assert meek(profile, seats=2, rng=0).unique
    shared = Profile.from_orders([[["a", "b"]], ["c"]], counts=[4, 1])
    assert meek(shared, seats=2).committees == (("a", "b"),)


def test_many_candidates_without_votes_are_no_ties():
    names = [f"c{i}" for i in range(1000)]
    profile = Profile.from_orders([["c0", "c2"], ["c1", "c7"]], counts=[6, 2], candidates=names)
    outcome = meek(profile, seats=2)
    assert outcome.committees == (("c0", "c2"),) and outcome.complete


def test_bad_use_is_refused():
    profile = Profile.from_orders([["a", "b"]])
    with pytest.raises(UsageError):
        meek(profile, seats=3)
    with pytest.raises(DataError, match="more than Meek's count holds"):
        meek(Profile("ab", [[0, 1]], [10**10]), seats=1)


@pytest.mark.parametrize("election", ELECTED[1:4], ids=lambda election: election["title"])
def test_public_elections(election, shared_data):
    profile = preflib_profile(shared_data, election["id"])
    outcome = meek(profile, seats=len(election["elected"]))
    assert outcome.unique and set(outcome.committees[0]) == set(election["elected"])
