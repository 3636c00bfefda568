"""The battery of rules: all rules of the library pass it, and rules with a fault are caught by the check for it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, borda, rules
from pluralism.social_choice.outcome import CommitteeOutcome, Outcome
from pluralism.social_choice.rule import Rule, rule
from pluralism.testing import ChecksFailedError, check_rule, rule_checks

OPTIONS = {"seats": 2}


def options_of(each: Rule) -> dict:
    names = inspect.signature(each.function).parameters
    return {name: value for name, value in OPTIONS.items() if name in names}


@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_passes_the_battery(name):
    each = rules()[name]
    if each.takes.__name__ == "Utilities":
        pytest.skip("counts utilities")
    results = check_rule(each, options=options_of(each), n_profiles=12)
    assert len(results) == len(rule_checks()) == 11
    assert [result for result in results if result.status == "failed"] == []


def faulty(function) -> dict[str, str]:
    made = rule("faulty", takes=Profile, source="here", axioms={"condorcet": True})(function)
    return {result.name: result.status for result in check_rule(made, n_profiles=10)}


def test_a_rule_that_prefers_a_name_is_caught():
    def first(profile, log):
        log("The first one.")
        return Outcome("faulty", profile.candidates, profile.candidates[:1])

    found = faulty(first)
    assert found["candidates_are_treated_alike"] == "failed"
    assert found["ballots_are_treated_alike"] == "passed"


def test_a_rule_that_reads_the_first_ballot_alone_is_caught():
    def dictator(profile, log):
        log("The first ballot decides.")
        best = np.flatnonzero(profile.levels[0] == 0)
        return Outcome("faulty", profile.candidates, tuple(profile.candidates[i] for i in best))

    found = faulty(dictator)
    assert found["ballots_are_treated_alike"] == "failed"
    assert found["ballots_that_nobody_cast_do_not_matter"] == "passed"
    assert found["declared_axioms_stand"] == "failed"


def test_a_rule_that_remembers_or_is_silent_is_caught():
    state = []

    def fickle(profile, log):
        state.append(0)
        return Outcome("faulty", profile.candidates, (profile.candidates[len(state) % profile.n_candidates],))

    found = faulty(fickle)
    assert found["counting_again_gives_the_same"] == "failed"
    assert found["explanations_lead_to_the_outcome"] == "failed"


def test_a_rule_that_counts_rows_is_caught():
    def rows(profile, log):
        log("Rows are counted.")
        score = (profile.levels == 0).sum(axis=0)
        best = np.flatnonzero(score == score.max())
        return Outcome("faulty", profile.candidates, tuple(profile.candidates[i] for i in best))

    found = faulty(rows)
    assert found["ballots_are_treated_alike"] == "failed"
    assert found["ballots_that_nobody_cast_do_not_matter"] == "failed"


def test_a_rule_of_units_is_caught():
    def quota(profile, log):
        log("More than five units are needed.")
        score = profile.counts @ (profile.levels == 0)
        best = np.flatnonzero(score > 5)
        best = best if len(best) else np.arange(profile.n_candidates)
        return Outcome("faulty", profile.candidates, tuple(profile.candidates[i] for i in best))

    found = faulty(quota)
    assert found["units_do_not_matter"] == "failed"
    assert found["candidates_are_treated_alike"] == "passed"


def test_an_outcome_without_winners_is_caught():
    def nobody(profile, log):
        log("Nobody.")
        return CommitteeOutcome("faulty", profile.candidates, ())

    assert faulty(nobody)["outcomes_name_candidates"] == "failed"


def test_failures_are_one_error_on_request():
    @rule("b", takes=Profile, source="here")
    def first(profile, log):
        log("The first one.")
        return Outcome("b", profile.candidates, profile.candidates[:1])

    with pytest.raises(ChecksFailedError, match="fails") as caught:
        check_rule(first, raise_on_failure=True, n_profiles=20)
    assert "candidates_are_treated_alike" in str(caught.value)
    with pytest.raises(UsageError, match="no check 'x'"):
        check_rule(borda, checks=["x"])
    with pytest.raises(UsageError, match="no profiles"):
        check_rule(Rule("u", int, "here", {}, lambda profile, log: None))
