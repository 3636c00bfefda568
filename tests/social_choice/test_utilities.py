"""Utilities: units by their definitions, what they are invariant to, tables of items, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given

from pluralism.errors import ComparabilityWarning, DataError, UsageError
from pluralism.social_choice import Utilities
from pluralism.testing.collective_strategies import utilities


@given(utilities())
def test_the_cdf_is_the_share_of_the_reference_beaten(raw):
    cdf = raw.to_unit("cdf")
    p = np.exp(raw.log_reference)
    for x, y in np.argwhere(raw.mask):
        for k in range(raw.n_groups):
            r, mine = raw.values[x, :, k], raw.values[x, y, k]
            won = p[x] @ ((r < mine) + 0.5 * (r == mine))
            assert cdf.values[x, y, k] == pytest.approx(won, abs=1e-12)
    np.testing.assert_allclose(cdf.reference_mean, 0.5, atol=1e-12)


@given(utilities())
def test_gains_regrets_and_normalised_utilities_by_definition(raw):
    gain, regret, normalised = (raw.to_unit(unit) for unit in ("gain", "regret", "normalised"))
    np.testing.assert_allclose(gain.reference_mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(regret.best, 0.0, atol=1e-12)
    assert np.all(regret.values <= 1e-12)
    weight = raw.prompt_weights[:, None, None] * np.exp(raw.log_reference)[..., None]
    spread = np.sum(weight * normalised.values**2, axis=(0, 1))
    cares = np.sqrt(np.sum(weight * gain.values**2, axis=(0, 1))) > 1e-9
    np.testing.assert_allclose(spread[cares], 1.0, atol=1e-9)
    for made in (gain, regret, normalised):
        np.testing.assert_array_equal(made.values[~raw.mask], 0.0)


@given(utilities())
def test_a_constant_for_each_prompt_and_group_changes_only_raw_utilities(raw):
    rng = np.random.default_rng(0)
    shift = rng.normal(size=(raw.n_prompts, 1, raw.n_groups))
    moved = Utilities(raw.values + shift, raw.log_reference, raw.shares)
    for unit in ("gain", "normalised", "regret"):
        np.testing.assert_allclose(moved.to_unit(unit).values, raw.to_unit(unit).values, atol=1e-9)


@given(utilities(equal=False))
def test_the_cdf_sees_only_the_order_within_a_prompt(raw):
    bent = Utilities(np.exp(2 * raw.values), raw.log_reference, raw.shares)
    np.testing.assert_allclose(bent.to_unit("cdf").values, raw.to_unit("cdf").values, atol=1e-12)


def test_a_table_of_items_becomes_prompts_with_candidates():
    scores = np.arange(10.0).reshape(5, 2)
    made = Utilities.from_items(scores, [1, 0, 1, 1, 0], candidates="vwxyz", prompts=["p", "q"])
    assert made.items.tolist() == [[1, 4, -1], [0, 2, 3]]
    np.testing.assert_array_equal(made.values[1, :, 0], [0.0, 4.0, 6.0])
    np.testing.assert_allclose(np.exp(made.log_reference[0]), [0.5, 0.5, 0.0])
    frame = made.to_frame().to_pydict()
    assert frame["candidate"] == list("wzvxy")
    assert frame["prompt"] == ["p", "p", "q", "q", "q"]
    assert json.loads(made.to_json())["rows"][0]["candidate"] == "w"


@given(utilities())
def test_averages_use_the_weights_of_prompts(raw):
    weights = np.arange(1, raw.n_prompts + 1)
    weighted = Utilities(raw.values, raw.log_reference, raw.shares, prompt_weights=weights)
    each = [raw.take([x]).expected(raw.log_reference[[x]]) for x in range(raw.n_prompts)]
    np.testing.assert_allclose(
        weighted.expected(raw.log_reference), np.average(each, axis=0, weights=weights), atol=1e-12
    )


def test_comparing_groups_by_raw_rewards_warns():
    raw = Utilities.from_matrix([[1.0, 0.0], [0.0, 2.0]])
    with pytest.warns(ComparabilityWarning, match="zero is arbitrary"):
        raw.warn_if_raw("MaxMin")
    raw.to_unit("gain").warn_if_raw("MaxMin")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Utilities([[1.0, 2.0]]), "shape"),
        (lambda: Utilities([[[np.nan], [0.0]]]), "NaN"),
        (lambda: Utilities([[[1.0], [0.0]]], [[0.0, np.nan]]), "log_reference"),
        (lambda: Utilities([[[1.0], [0.0]]], [[-np.inf, -np.inf]]), "positive probability"),
        (lambda: Utilities([[[1.0], [0.0]]], shares=[-1.0]), "shares"),
        (lambda: Utilities([[[1.0], [0.0]]], unit="utils"), "unit='utils'"),
        (lambda: Utilities([[[1.0, 2.0]]], groups=["a", "a"]), "distinct"),
        (lambda: Utilities([[[1.0], [0.0]]], items=[[0, 5]], candidates=["a", "b"]), "items"),
        (lambda: Utilities.from_items(np.ones((2, 1)), [0, 2]), "Prompt 1 has no candidates"),
        (lambda: Utilities.from_items(np.ones((3, 1)), [-1, 0, 0]), "do not fit 3 items"),
        (lambda: Utilities.from_items(np.ones((3, 1)), [0, 0, 0], log_reference=[0.0] * 4), "do not fit 3 items"),
        (lambda: Utilities.from_items(np.ones((3, 1)), [0, 0, 0], candidates="abcd"), "do not fit 3 items"),
        (lambda: Utilities([[[1.0], [0.0]]], items=[[0, 0]]), "once a prompt"),
        (lambda: Utilities([[[1.0], [0.0]]], items=[[0.5, 1.2]]), "items"),
        (lambda: Utilities.from_matrix([[1.0, 0.0, 2.0]], reference=[0.5, 0.5]), "3 probabilities"),
        (lambda: Utilities.from_matrix([[1.0, 0.0]]).to_unit("cdf").to_unit("gain"), "cannot be turned"),
        (lambda: Utilities.from_matrix([[1.0, 0.0]]).to_unit("gain").to_unit("raw"), "cannot be turned"),
        (lambda: Utilities.from_matrix([[1.0, 0.0]]).take([]), "No prompt"),
    ],
)
def test_what_is_no_utility_is_refused_with_a_remedy(make, says):
    with pytest.raises((DataError, UsageError)) as caught:
        make()
    assert says in str(caught.value)
    assert caught.value.fix


def test_absent_candidates_may_hold_anything():
    made = Utilities([[[1.0], [np.nan]]], [[0.0, -np.inf]])
    assert made.values.tolist() == [[[1.0], [0.0]]]
    assert made.items.tolist() == [[0, -1]]
