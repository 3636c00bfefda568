"""Policies on finite candidates: what they report is what the arrays say; refusals."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import DataError, UsageError
from pluralism.policy import Certificate, FinitePolicy, kl_optimal
from pluralism.social_choice import Utilities
from pluralism.solvers.tilt import tilt
from pluralism.testing.collective_strategies import utilities


@given(utilities(), st.sampled_from([0.0, 1e-3, 0.1, 1.0, 30.0]))
def test_the_optimum_has_the_value_of_its_partition_function(raw, beta):
    policy = kl_optimal(raw, beta=beta)
    p, q = np.exp(raw.log_reference), policy.probs
    reward = raw.values @ raw.shares
    kl = np.array(
        [sum(b * np.log(b / a) for a, b in zip(p[x], q[x], strict=True) if b > 0) for x in range(raw.n_prompts)]
    )
    np.testing.assert_allclose(policy.kl, kl, atol=1e-9)
    value = raw.prompt_weights @ (np.sum(q * reward, axis=1) - beta * kl)
    assert policy.certificate.primal[0] == pytest.approx(value, abs=1e-9)
    assert policy.certificate.gap == pytest.approx(0.0, abs=1e-8)
    np.testing.assert_allclose(
        policy.group_utilities, raw.prompt_weights @ np.einsum("xy,xyk->xk", q, raw.values), atol=1e-12
    )
    assert policy.worst_group == raw.groups[int(np.argmin(policy.group_utilities))]


@given(utilities(max_prompts=1), st.sampled_from([0.05, 0.5, 5.0]), st.integers(0, 2**32 - 1))
def test_no_other_policy_reaches_more(raw, beta, seed):
    best = kl_optimal(raw, beta=beta)
    logs = np.where(raw.mask, np.random.default_rng(seed).normal(size=raw.mask.shape) * 3, -np.inf)
    other = FinitePolicy(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True), raw, "random")
    reached = other.group_utilities @ raw.shares - beta * other.kl_mean
    assert reached <= best.certificate.dual[0] + 1e-9


def test_limits_of_the_price():
    raw = Utilities([[[1.0], [1.0], [0.0]]], np.log([[0.1, 0.3, 0.6]]))
    np.testing.assert_allclose(kl_optimal(raw, beta=0.0).probs, [[0.25, 0.75, 0.0]])
    np.testing.assert_allclose(kl_optimal(raw, beta=1e-12).probs, [[0.25, 0.75, 0.0]])
    logs, value = tilt(raw.values[..., 0], raw.log_reference, np.inf)
    np.testing.assert_allclose(np.exp(logs), [[0.1, 0.3, 0.6]])
    np.testing.assert_allclose(value, [0.4])
    huge = Utilities([[[1e9], [0.0]]])
    np.testing.assert_allclose(kl_optimal(huge, beta=1.0).probs, [[1.0, 0.0]])


def test_draws_follow_the_probabilities():
    raw = Utilities([[[1.0], [0.0], [0.0]], [[0.0], [2.0], [0.0]]], [[0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]])
    policy = kl_optimal(raw, beta=1.0)
    drawn = policy.sample(20_000, rng=0)
    share = np.stack([np.bincount(row, minlength=3) / 20_000 for row in drawn])
    np.testing.assert_allclose(share, policy.probs, atol=0.015)
    assert policy.best().tolist() == [0, 1]


def test_a_policy_is_written_with_what_it_brings(tmp_path):
    raw = Utilities.from_items(
        np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), [0, 0, 1], candidates=["a", "b", "c"], prompts=["p", "q"]
    )
    policy = kl_optimal(raw.to_unit("gain"), beta=1.0)
    policy.write(tmp_path / "policy.parquet")
    table = pq.read_table(tmp_path / "policy.parquet")
    assert table.column_names == ["prompt", "candidate", "reference", "probability"]
    assert table["candidate"].to_pylist() == ["a", "b", "c"]
    note = json.loads(table.schema.metadata[b"pluralism.policy"])
    assert note["unit"] == "gain"
    assert note["group_utilities"] == pytest.approx(policy.group_utilities.tolist())
    assert json.loads(policy.to_json())["rows"][2]["probability"] == 1.0
    assert "KL" in repr(policy)


@pytest.mark.parametrize(
    "logs",
    [
        [[0.0, 0.0]],
        [[np.nan, 0.0]],
        [[0.0]],
        [[np.log(0.5), -np.inf, np.log(0.5)]],
    ],
)
def test_what_is_no_distribution_is_refused(logs):
    raw = Utilities([[[1.0], [0.0]]] if len(logs[0]) < 3 else [[[1.0], [0.0], [0.0]]], None)
    raw = raw if len(logs[0]) < 3 else Utilities(raw.values, [[0.0, 0.0, -np.inf]])
    with pytest.raises(DataError) as caught:
        FinitePolicy(np.array(logs), raw, "mine")
    assert caught.value.fix


def test_settings_that_cannot_work_are_refused():
    raw = Utilities.from_matrix([[1.0, 0.0]])
    for bad in ({"beta": -1.0}, {"beta": np.nan}, {"beta": np.inf}, {"beta": 1.0, "weights": [1.0, 2.0]}):
        with pytest.raises(UsageError):
            kl_optimal(raw, **bad)


def test_a_certificate_holds_when_all_its_conditions_do():
    fine = Certificate("p", np.array([1.0]), np.array([1.0 + 1e-9]), np.array([[1.0]]), np.array([1e-9]))
    assert fine.holds(1e-8)
    assert not Certificate("p", fine.primal, fine.dual, fine.weights, np.array([1e-3])).holds()
    assert not Certificate("p", fine.primal, fine.primal + 1e-3).holds()
    assert not Certificate("p", fine.primal, fine.primal, stationarity=1.0).holds()
    assert json.loads(fine.to_json())["gap"] == pytest.approx(1e-9)
