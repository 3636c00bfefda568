"""Policies by a vote on each prompt: only orders count, ties follow the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from pluralism.errors import UsageError
from pluralism.policy import by_voting
from pluralism.social_choice import ApprovalProfile, Utilities
from pluralism.social_choice.outcome import CommitteeOutcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import rule
from pluralism.testing.collective_strategies import utilities


def test_the_majority_of_shares_decides_each_prompt_by_itself():
    values = np.array([[[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[0.0, 5.0], [1.0, 6.0], [9.0, 9.0]]])
    logs = np.log([[0.5, 0.3, 0.2], [0.5, 0.5, 1.0]])
    logs[1, 2] = -np.inf
    policy = by_voting(Utilities(values, logs, [0.6, 0.4]), "borda")
    np.testing.assert_allclose(policy.probs, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_tied_winners_keep_the_proportions_of_the_reference():
    values = np.array([[[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]])
    policy = by_voting(Utilities(values, np.log([[0.6, 0.2, 0.2]])), "borda")
    np.testing.assert_allclose(policy.probs, [[0.75, 0.25, 0.0]])
    near = by_voting(Utilities(values, np.log([[0.6, 0.2, 0.2]])), "borda", tolerance=5.0)
    np.testing.assert_allclose(near.probs, [[0.6, 0.2, 0.2]])


@given(utilities())
def test_only_orders_count(raw):
    bent = Utilities(np.exp(raw.values), raw.log_reference, raw.shares)
    expected = by_voting(raw, "borda").probs
    np.testing.assert_allclose(by_voting(bent, "borda").probs, expected)
    np.testing.assert_allclose(by_voting(raw.to_unit("cdf"), "borda").probs, expected)


def test_rules_of_other_things_are_refused():
    raw = Utilities.from_matrix([[1.0, 0.0]])

    @rule("approve", takes=ApprovalProfile, source="here")
    def approve(profile, log):
        raise AssertionError

    @rule("everybody", takes=Profile, source="here")
    def everybody(profile, log):
        return CommitteeOutcome("everybody", profile.candidates, (profile.candidates,))

    with pytest.raises(UsageError, match="does not count rankings"):
        by_voting(raw, approve)
    with pytest.raises(UsageError, match="elects committees"):
        by_voting(raw, everybody)
    with pytest.raises(UsageError, match="no rule 'x'"):
        by_voting(raw, "x")
