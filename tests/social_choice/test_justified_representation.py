"""Proportionality checks against brute force over groups of voters, implications, and named groups."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from approvals import abc_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.social_choice import ApprovalProfile
from pluralism.social_choice.justified_representation import check_representation, proportionality
from pluralism.testing.collective_strategies import approval_profiles


def violated(profile: ApprovalProfile, committee: set[int], seats: int, axiom: str) -> bool:
    """Whether some set of ballots, with all their voters, gets less than it deserves."""
    ballots = [set(np.flatnonzero(row).tolist()) for row in profile.approves]
    n = profile.total
    for size in range(1, len(ballots) + 1):
        for group in combinations(range(len(ballots)), size):
            voters = int(profile.counts[list(group)].sum())
            if voters == 0:
                continue
            members = [ballots[i] for i in group if profile.counts[i]]
            common = set.intersection(*members)
            has = [len(ballot & committee) for ballot in members]
            together = len(set.union(*members) & committee)
            for deserves in range(1, seats + 1):
                if voters * seats < deserves * n:
                    continue
                if axiom == "jr" and deserves == 1 and common and max(has) == 0:
                    return True
                if axiom == "pjr" and len(common) >= deserves and together < deserves:
                    return True
                if axiom == "ejr" and len(common) >= deserves and max(has) < deserves:
                    return True
                if axiom == "ejr+" and common - committee and max(has) < deserves:
                    return True
                if axiom == "core" and any(
                    all(len(ballot & set(other)) > h for ballot, h in zip(members, has, strict=True))
                    for other in combinations(range(profile.n_candidates), deserves)
                ):
                    return True
    return False


@settings(max_examples=40)
@given(approval_profiles(max_candidates=5, max_ballots=5), st.data())
def test_verdicts_of_brute_force_over_groups(profile, data):
    committee = data.draw(st.sets(st.integers(0, profile.n_candidates - 1), min_size=1))
    seats = data.draw(st.integers(len(committee), profile.n_candidates))
    names = [profile.candidates[c] for c in committee]
    report = proportionality(profile, names, seats=seats)
    for check in report.checks:
        assert check.holds == (not violated(profile, committee, seats, check.axiom)), check
        if check.verdict == "violated":
            group = profile.take(list(check.group))
            agreed = profile.index(check.agrees_on)
            assert group.total * seats >= check.deserves * profile.total
            assert check.voters == Fraction(group.total, profile.denominator)
            assert check.axiom == "core" or group.approves[:, agreed].all()
            if check.axiom != "core":
                assert check.has < check.deserves
    holds = {check.axiom: check.holds for check in report.checks}
    assert holds["ejr"] >= holds["ejr+"] and holds["pjr"] >= holds["ejr"] and holds["jr"] >= holds["pjr"]
    assert holds["ejr"] >= holds["core"]


@settings(max_examples=15)
@given(approval_profiles(max_candidates=5), st.data())
def test_verdicts_of_abcvoting(profile, data):
    properties = pytest.importorskip("abcvoting.properties", reason="an oracle: pip install 'pluralism[voting]'")
    committee = sorted(data.draw(st.sets(st.integers(0, profile.n_candidates - 1), min_size=1)))
    names = [profile.candidates[c] for c in committee]
    theirs, report = abc_profile(profile), proportionality(profile, names)
    assert report["jr"].holds == properties.check_JR(theirs, committee)
    assert report["ejr+"].holds == properties.check_EJR_plus(theirs, committee)
    for axiom, check in (("pjr", "check_PJR"), ("ejr", "check_EJR"), ("core", "check_core")):
        assert report[axiom].holds == getattr(properties, check)(theirs, committee, algorithm="brute-force")


def test_a_group_is_named_with_what_it_deserves():
    profile = ApprovalProfile.from_sets(
        [["a", "b"], ["a", "b", "c"], ["x"], ["y"]], counts=[3, 3, 3, 3], candidates=list("abcxyz")
    )
    check = check_representation(profile, ["x", "y", "z", "a"], "ejr")
    assert (check.verdict, check.group, check.agrees_on, check.deserves, check.has) == (
        "violated",
        (0, 1),
        ("a", "b"),
        2,
        1,
    )
    assert "6 of 12 voters, enough for 2 of 4 seats, agree on a and b but approve 1 each at most" in repr(check)
    assert check_representation(profile, ["x", "y", "a", "b"], "ejr+").holds


def test_a_search_that_runs_out_of_time_is_undecided():
    rng = np.random.default_rng(0)
    profile = ApprovalProfile(range(30), rng.random((400, 30)) < 0.3)
    check = check_representation(profile, list(range(6)), "core", time_limit=1e-3)
    assert check.verdict == "undecided" and not check.holds


def test_results_are_tables_and_json():
    profile = ApprovalProfile.from_sets([["a"], ["b"]], candidates=["a", "b", "c"])
    report = proportionality(profile, ["c"], seats=2)
    assert report.to_frame()["verdict"].to_pylist() == ["violated"] * 5
    assert report["jr"].to_dict()["agrees_on"] == ["a"]
    assert repr(report).count("\n") == 5
    with pytest.raises(UsageError, match="no check"):
        report["fjr"]
    with pytest.raises(UsageError, match="no axiom"):
        check_representation(profile, ["c"], "fjr")
    with pytest.raises(UsageError, match="not possible"):
        check_representation(profile, ["a", "b"], seats=1)
    with pytest.raises(UsageError, match="no candidate"):
        check_representation(profile, ["z"])
