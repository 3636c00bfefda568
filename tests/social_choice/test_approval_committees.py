"""Committees of approvals: against abcvoting with every tie, worked examples, D'Hondt, and the programme for PAV."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from approvals import abc_profile, committee_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import DataError, UsageError
from pluralism.social_choice import ApprovalProfile
from pluralism.social_choice.equal_shares import equal_shares
from pluralism.social_choice.justified_representation import check_representation
from pluralism.social_choice.pav import pav, pav_scores
from pluralism.social_choice.sequential_pav import sequential_pav
from pluralism.social_choice.sequential_phragmen import sequential_phragmen
from pluralism.testing.collective_strategies import approval_profiles

CASES = json.loads((Path(__file__).parent / "golden" / "committees.json").read_text())
RULES = {rule.name: rule for rule in (sequential_pav, pav, sequential_phragmen, equal_shares)}
MODULE = sys.modules["pluralism.social_choice.pav"]


def case_profile(case) -> ApprovalProfile:
    return ApprovalProfile.from_sets(
        [list(ballot) for ballot in case["ballots"]], case["counts"], candidates=list(case["candidates"])
    )


@settings(max_examples=40)
@given(approval_profiles(max_candidates=5), st.data())
def test_every_tied_committee_of_abcvoting(profile, data):
    rules = pytest.importorskip("abcvoting.abcrules", reason="an oracle of the extra: pip install 'pluralism[voting]'")
    seats = data.draw(st.integers(1, profile.n_candidates))
    theirs = abc_profile(profile)
    exact = {"algorithm": "standard-fractions", "resolute": False}
    expected = {
        "sequential-pav": rules.compute_seqpav(theirs, seats, algorithm="standard", resolute=False),
        "pav": rules.compute_pav(theirs, seats, algorithm="brute-force", resolute=False),
        "sequential-phragmen": rules.compute_seqphragmen(theirs, seats, **exact),
        "equal-shares": rules.compute_equal_shares(theirs, seats, completion="seqphragmen", **exact),
    }
    for name, committees in expected.items():
        outcome = RULES[name](profile, seats=seats, most=1000)
        assert outcome.complete
        assert committee_sets(outcome) == {frozenset(map(int, committee)) for committee in committees}, name
    if profile.approves[profile.counts > 0].any():
        bare = rules.compute_equal_shares(theirs, seats, completion=None, **exact)
        outcome = equal_shares(profile, seats=seats, completion="none", most=1000)
        assert committee_sets(outcome) == {frozenset(map(int, committee)) for committee in bare}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["source"][:30])
def test_worked_examples(case):
    profile = case_profile(case)
    for name, elected in case.get("elected", {}).items():
        outcome = RULES[name](profile, seats=case["seats"])
        assert {"".join(committee) for committee in outcome.committees} == set(elected)
    if "scores" in case:
        rows = np.array([[case["candidates"].index(c) for c in committee] for committee in case["scores"]])
        assert pav_scores(profile, rows) == [Fraction(score) for score in case["scores"].values()]
    for rule in RULES.values() if "shares" in case else ():
        order = {} if rule is pav else {"order": list(case["candidates"])}
        for committee in rule(profile, seats=case["seats"], **order).committees[:5]:
            assert {party: len(set(party) & set(committee)) for party in case["shares"]} == case["shares"]


def test_loads_of_a_worked_example():
    profile = case_profile(CASES[0])
    explained = equal_shares.explain(profile, seats=4, order=["a"])
    caps = [step.data["caps"]["a"] for step in explained.steps if "caps" in step.data]
    assert caps == [Fraction(1, 8)]
    waits = [step.data["waits"][step.data["chosen"][0]] for step in explained.steps if "waits" in step.data]
    # The loads rise to 1/96, 37/384 and 7/24.
    assert waits == [Fraction(1, 96), Fraction(37, 384) - Fraction(1, 96), Fraction(7, 24) - Fraction(37, 384)]


@settings(max_examples=25)
@given(approval_profiles(max_candidates=5, max_ballots=5), st.data())
def test_the_programme_finds_what_trying_all_finds(profile, data):
    seats = data.draw(st.integers(1, profile.n_candidates))
    every = pav(profile, seats=seats, most=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "MOST_COMMITTEES", 0)
        solved = pav(profile, seats=seats, most=1000)
    assert solved.complete and solved.notes[0].startswith("optimal by HiGHS")
    assert (solved.committees, solved.objective) == (every.committees, every.objective)


def test_pav_says_when_time_ran_out_or_the_list_is_cut(monkeypatch):
    rng = np.random.default_rng(0)
    profile = ApprovalProfile(range(40), rng.random((300, 40)) < 0.2)
    monkeypatch.setattr(MODULE, "MOST_COMMITTEES", 0)
    with pytest.raises(UsageError, match="found no committee"):
        pav(profile, seats=8, time_limit=1e-3)
    nobody = ApprovalProfile(range(5), np.zeros((2, 5), bool))
    cut = pav(nobody, seats=2, most=3)
    assert len(cut.committees) == 3 and not cut.complete and cut.objective == 0


@settings(max_examples=40)
@given(approval_profiles(), st.integers(1, 4))
def test_equal_shares_satisfies_ejr_plus_however_completed(profile, seats):
    seats = min(seats, profile.n_candidates)
    for completion in ("none", "phragmen", "add-one"):
        outcome = equal_shares(profile, seats=seats, completion=completion, most=1000)
        for committee in outcome.committees:
            assert len(committee) <= seats
            assert completion == "none" or len(committee) == seats
            assert check_representation(profile, committee, "ejr+", seats=seats).holds


def test_shares_are_raised_until_they_would_buy_too_much():
    # Two of three seats are bought at once; shares of 4 seats buy c as well, and shares of 6 would buy d too.
    profile = ApprovalProfile.from_sets([["a"], ["b"], ["c"], ["d"]], counts=[5, 4, 3, 2])
    plain = equal_shares(profile, seats=3, completion="none")
    assert plain.committees == (("a",),)
    raised = equal_shares(profile, seats=3, completion="add-one")
    assert raised.committees == (("a", "b", "c"),)
    assert raised.notes == ("shares of 5 seats",)


def test_nobody_approves_anybody():
    nobody = ApprovalProfile("abc", np.zeros((2, 3), bool))
    assert equal_shares(nobody, seats=2, completion="none").committees == ((),)
    for rule in RULES.values():
        assert len(rule(nobody, seats=2).committees) == 3


@given(approval_profiles(), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=25)
def test_draws_and_orders_lead_to_listed_committees(profile, seats, seed):
    seats = min(seats, profile.n_candidates)
    for rule in (sequential_pav, sequential_phragmen, equal_shares):
        every = rule(profile, seats=seats, most=1000).committees
        for options in ({"rng": seed}, {"order": profile.candidates[::-1]}):
            outcome = rule(profile, seats=seats, **options)
            assert outcome.unique and outcome.committees[0] in every


@given(approval_profiles(max_candidates=4), st.integers(2, 4))
@settings(max_examples=25)
def test_units_split_ballots_and_order_do_not_matter(profile, times):
    finer = ApprovalProfile(profile.candidates, profile.approves[::-1], profile.counts[::-1] * times, denominator=times)
    for rule in RULES.values():
        assert rule(finer, seats=1, most=50).to_dict() == rule(profile, seats=1, most=50).to_dict()


def test_more_ties_than_are_followed(monkeypatch):
    import pluralism.social_choice.committees as committees

    many = ApprovalProfile(range(12), np.eye(12, dtype=bool))
    monkeypatch.setattr(committees, "MOST_STATES", 20)
    outcome = sequential_pav(many, seats=6)
    assert outcome.committees and not outcome.complete


def test_bad_options_are_refused():
    profile = ApprovalProfile.from_sets([["a"], ["b"]])
    for rule in RULES.values():
        for options in ({"seats": 0}, {"seats": 3}, {"seats": 1, "most": 0}):
            with pytest.raises(UsageError):
                rule(profile, **options)
        with pytest.raises(DataError, match="no voters"):
            rule(ApprovalProfile("ab", np.zeros((0, 2), bool)), seats=1)
    with pytest.raises(UsageError, match="completion"):
        equal_shares(profile, seats=1, completion="add1")
    with pytest.raises(UsageError, match="time_limit"):
        pav(profile, seats=1, time_limit=0)


def test_pav_is_the_best_of_all_committees_by_hand():
    rng = np.random.default_rng(3)
    profile = ApprovalProfile(range(6), rng.random((9, 6)) < 0.5, rng.integers(1, 4, 9))
    outcome = pav(profile, seats=3)
    scores = {}
    for committee in combinations(range(6), 3):
        has = profile.approves[:, committee].sum(axis=1)
        scores[committee] = sum(
            (int(n) * sum((Fraction(1, i) for i in range(1, r + 1)), Fraction(0)))
            for n, r in zip(profile.counts, has, strict=True)
        )
    assert outcome.objective == max(scores.values())
    assert committee_sets(outcome) == {frozenset(c) for c, s in scores.items() if s == outcome.objective}
