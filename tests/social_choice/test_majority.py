"""Sets and orders that follow from majorities alone, against their definitions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given

from pluralism.errors import UsageError
from pluralism.social_choice import Profile
from pluralism.social_choice.majority import (
    components,
    condorcet_winner,
    link_strengths,
    ranking_of_relation,
    smith_set,
)
from pluralism.testing.collective_strategies import profiles


@given(profiles(max_candidates=6))
def test_parts_are_the_finest_division(profile):
    beats, m = profile.margins > 0, profile.n_candidates
    parts = components(profile.margins)
    assert sorted(c for part in parts for c in part) == list(range(m))
    dominant = [
        set(some)
        for size in range(1, m + 1)
        for some in combinations(range(m), size)
        if all(beats[a, b] for a in some for b in range(m) if b not in some)
    ]
    ahead, expected = set(), []
    for some in sorted(dominant, key=len):
        expected.append(sorted(some - ahead))
        ahead = some
    assert parts == expected
    assert smith_set(profile.margins) == expected[0]


@given(profiles(max_candidates=5))
def test_condorcet_winner_is_a_smith_set_of_one(profile):
    winner, smith = condorcet_winner(profile.margins), smith_set(profile.margins)
    assert (winner is not None) == (len(smith) == 1)
    assert winner is None or smith == [winner]


def test_strengths_of_majorities():
    profile = Profile.from_orders(["ab", "ba", [["a", "b"], "c"]], [3, 1, 4])
    assert link_strengths(profile, "margins")[0, 1] == 2
    assert link_strengths(profile, "winning_votes")[0, 1] == 3
    assert link_strengths(profile, "winning_votes")[1, 0] == 0
    with pytest.raises(UsageError, match="strength"):
        link_strengths(profile, "losing")


def test_rankings_of_relations():
    ahead = np.zeros((3, 3), dtype=bool)
    assert ranking_of_relation("abc", ahead) == (("a", "b", "c"),)
    ahead[2, :2] = True
    assert ranking_of_relation("abc", ahead) == (("c",), ("a", "b"))
    ahead[2, 1] = False
    assert ranking_of_relation("abc", ahead) is None
