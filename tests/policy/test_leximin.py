"""Leximin: by hand, against sampled policies, against the MaxMin program, on each prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from pluralism.errors import ComparabilityWarning, UsageError
from pluralism.policy import leximin
from pluralism.social_choice import Utilities
from pluralism.testing.collective_strategies import utilities


def least(raw):
    """The highest least utility, by one linear program with dense matrices."""
    row, place = np.nonzero(raw.mask)
    table = (raw.values[row, place] * raw.prompt_weights[row, None]).T
    sums = (row == np.arange(raw.n_prompts)[:, None]).astype(float)
    found = linprog(
        np.append(np.zeros(len(row)), -1.0),
        A_ub=np.hstack([-table, np.ones((raw.n_groups, 1))]),
        b_ub=np.zeros(raw.n_groups),
        A_eq=np.hstack([sums, np.zeros((raw.n_prompts, 1))]),
        b_eq=np.ones(raw.n_prompts),
        bounds=[(0, None)] * len(row) + [(None, None)],
    )
    return found.x[-1]


def exceeds(one, other):
    """Whether sorted utilities are lexicographically above others by more than rounding."""
    for a, b in zip(np.sort(one), np.sort(other), strict=True):
        if a > b + 1e-4:
            return True
        if a < b - 1e-8:
            return False
    return False


@settings(max_examples=40)
@given(utilities())
def test_no_sampled_policy_is_above(raw):
    made = raw.to_unit("gain")
    found = leximin(made)
    assert found.group_utilities.min() == pytest.approx(least(made), abs=1e-6)
    rng = np.random.default_rng(0)
    for concentration in (0.1, 1.0):
        weight = rng.gamma(concentration, size=(300, *made.mask.shape)) * made.mask + 1e-300 * made.mask
        probs = weight / weight.sum(axis=2, keepdims=True)
        sampled = np.einsum("x,sxy,xyk->sk", made.prompt_weights, probs, made.values)
        assert not any(exceeds(one, found.group_utilities) for one in sampled)


def test_the_second_group_is_raised_where_maxmin_would_stop():
    made = Utilities.from_matrix([[1.0, 1.0, 0.0], [1.0, 3.0, 4.0], [1.0, 1.0, 9.0]], unit="gain")
    found = leximin(made)
    np.testing.assert_allclose(found.probs, [[0.0, 1.0, 0.0]], atol=1e-7)
    opposed = leximin(Utilities.from_matrix([[1.0, -1.0], [-1.0, 1.0]], unit="gain"))
    np.testing.assert_allclose(opposed.probs, [[0.5, 0.5]], atol=1e-7)


def test_a_degenerate_program_fixes_every_group_that_cannot_have_more():
    # the first two are opposed and bind; the third could have more only against them, the fourth freely
    matrix = [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 5.0]]
    found = leximin(Utilities.from_matrix(matrix, unit="gain"))
    np.testing.assert_allclose(found.group_utilities, [1.0, 1.0, 1.0, 5.0], atol=1e-6)


def test_on_each_prompt_every_group_counts_every_time():
    values = np.array([[[1.0, 0.0], [0.0, 1.0]], [[4.0, 0.0], [0.0, 4.0]]])
    made = Utilities(values, unit="gain")
    np.testing.assert_allclose(leximin(made, scope="per_prompt").probs, 0.5, atol=1e-7)
    assert leximin(made).group_utilities == pytest.approx([1.25, 1.25], abs=1e-6)


def test_a_common_shift_and_scale_change_nothing():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 4, 3))
    plain = leximin(Utilities(values, unit="gain")).group_utilities
    moved = leximin(Utilities(1e4 * values + 7e5, unit="gain")).group_utilities
    np.testing.assert_allclose((moved - 7e5) / 1e4, plain, atol=1e-5)


def test_settings():
    raw = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]])
    with pytest.warns(ComparabilityWarning):
        leximin(raw)
    with pytest.raises(UsageError, match="scope"):
        leximin(raw.to_unit("gain"), scope="all")
