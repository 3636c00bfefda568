"""The Borda count by hand and by a plain loop."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given

from pluralism.social_choice import Profile, borda
from pluralism.testing.collective_strategies import profiles


def test_scores_of_complete_ballots():
    tennessee = Profile.from_orders(
        [
            ["Memphis", "Nashville", "Chattanooga", "Knoxville"],
            ["Nashville", "Chattanooga", "Knoxville", "Memphis"],
            ["Chattanooga", "Knoxville", "Nashville", "Memphis"],
            ["Knoxville", "Chattanooga", "Nashville", "Memphis"],
        ],
        counts=[42, 26, 15, 17],
    )
    outcome = borda(tennessee)
    assert dict(zip(outcome.candidates, outcome.scores, strict=True)) == {
        "Memphis": 126,
        "Nashville": 194,
        "Chattanooga": 173,
        "Knoxville": 107,
    }
    assert outcome.winners == ("Nashville",)


@given(profiles(denominator=True))
def test_points_of_each_ballot_added_up(profile):
    m = profile.n_candidates
    score = [Fraction(0)] * m
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        for a in range(m):
            for b in range(m):
                if a == b:
                    continue
                if row[a] >= 0 and row[b] >= 0:
                    point = Fraction(1) if row[a] < row[b] else Fraction(1, 2) if row[a] == row[b] else Fraction(0)
                elif profile.unlisted == "below" and (row[a] < 0) != (row[b] < 0):
                    point = Fraction(int(row[a] >= 0))
                else:
                    point = Fraction(1, 2)
                score[a] += point * count / profile.denominator
    outcome = borda(profile)
    assert list(outcome.scores) == score
    assert outcome.winners == tuple(name for name, s in zip(profile.candidates, score, strict=True) if s == max(score))
