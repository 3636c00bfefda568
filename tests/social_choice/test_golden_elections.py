"""Worked examples: what the literature says of an election is what the rules say."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from pluralism.social_choice import Profile, find_rule, maximal_lottery

CASES = json.loads((Path(__file__).parent / "golden" / "elections.json").read_text(encoding="utf-8"))


@pytest.fixture(params=CASES, ids=lambda case: case["source"][:40])
def case(request):
    return request.param


def profile_of(case) -> Profile:
    return Profile.from_orders([list(order) for order in case["orders"]], case["counts"])


def test_winners(case):
    profile = profile_of(case)
    for name, winners in case["winners"].items():
        assert set(find_rule(name)(profile).winners) == set(winners), name


def test_rankings_and_scores(case):
    profile = profile_of(case)
    for name, ranking in case.get("rankings", {}).items():
        assert find_rule(name)(profile).ranking == tuple((candidate,) for candidate in ranking), name
    for name, scores in case.get("scores", {}).items():
        outcome = find_rule(name)(profile)
        assert dict(zip(outcome.candidates, outcome.scores, strict=True)) == {
            candidate: Fraction(score) for candidate, score in scores.items()
        }


def test_lotteries(case):
    lottery = maximal_lottery(profile_of(case))
    for name, chance in case.get("lottery", {}).items():
        assert lottery.probabilities[lottery.candidates.index(name)] == pytest.approx(
            float(Fraction(chance)), abs=1e-15
        )
        assert lottery.value == 0.5
        assert lottery.exact[lottery.candidates.index(name)] == Fraction(chance)


def test_every_rule_explains_itself_and_says_the_same(case):
    profile = profile_of(case)
    for name in case["winners"]:
        explained = find_rule(name).explain(profile)
        plain = find_rule(name)(profile)
        assert explained.outcome.to_json() == plain.to_json()
        assert explained.steps
        assert all(step.text for step in explained.steps)
        assert json.loads(explained.to_json())["steps"]
