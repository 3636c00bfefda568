"""Outcomes: ties broken explicitly, results for people and programs, rules that refuse what they do not count."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.social_choice import (
    ApprovalProfile,
    CommitteeOutcome,
    Lottery,
    Outcome,
    Profile,
    borda,
    find_rule,
    rules,
)
from pluralism.social_choice.rule import rule


def test_a_tie_is_broken_by_an_explicit_rule_alone():
    tied = Outcome("r", ("a", "b", "c"), ("a", "c"))
    assert tied.break_tie(order=["b", "c", "a"]) == "c"
    drawn = Counter(tied.break_tie(rng=seed) for seed in range(200))
    assert set(drawn) == {"a", "c"}
    assert min(drawn.values()) > 60
    assert tied.break_tie(rng=3) == tied.break_tie(rng=3)
    for bad in ({}, {"rng": 0, "order": ["a"]}, {"order": ["b"]}):
        with pytest.raises(UsageError):
            tied.break_tie(**bad)


def test_results_are_written_for_people_and_programs():
    outcome = Outcome("r", ("a", "b"), ("a",), (Fraction(3, 2), 1), (("a",), ("b",)), ("a note",))
    assert json.loads(outcome.to_json())["scores"] == ["3/2", 1]
    assert outcome.to_frame().to_pydict() == {
        "candidate": ["a", "b"],
        "winner": [True, False],
        "score": [1.5, 1.0],
        "rank": [1, 2],
    }
    assert repr(outcome) == "Outcome(r: a; a 1.5, b 1)"
    committee = CommitteeOutcome("r", ("a", "b", "c"), (("a", "b"), ("a", "c")))
    assert not committee.unique
    assert committee.to_frame().to_pydict()["committee_2"] == [True, False, True]
    lottery = Lottery("r", ("a", "b"), np.array([0.25, 0.75]), True, 0.0)
    assert Counter(lottery.draw(seed) for seed in range(400))["b"] == pytest.approx(300, abs=40)
    assert json.loads(lottery.to_json())["probabilities"] == [0.25, 0.75]


def test_an_explanation_ends_in_the_outcome_of_the_call():
    profile = Profile.from_orders([["a", "b", "c"], ["b", ["a", "c"]]], counts=[3, 2])
    told = borda.explain(profile)
    assert told.outcome == borda(profile)
    assert json.loads(told.to_json())["steps"][0]["text"].startswith("Each ballot gives a point")
    assert told.to_frame().num_rows == len(told.steps) == 2
    assert repr(told).splitlines()[-1] == repr(told.outcome)


def test_rules_are_found_by_name_and_refuse_what_they_do_not_count():
    assert find_rule("borda") is borda
    assert all(name == each.name for name, each in rules().items())
    with pytest.raises(UsageError, match="no rule 'bordo'"):
        find_rule("bordo")
    with pytest.raises(UsageError, match="counts Profile, not ApprovalProfile"):
        borda(ApprovalProfile.from_sets([{"a"}]))
    with pytest.raises(DataError, match="no voters"):
        borda(Profile(["a"], np.zeros((0, 1), dtype=int)))
    with pytest.raises(DataError, match="no candidates"):
        borda(Profile([], np.zeros((0, 0), dtype=int)))
    with pytest.raises(UsageError, match="no axiom"):
        rule("x", takes=Profile, source="", axioms={"fairness": True})
