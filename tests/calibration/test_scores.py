from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pluralism.calibration import accuracy, brier, ece, log_loss, signed_confidence_gap
from pluralism.errors import DataError, UsageError

unit = st.floats(0, 1, allow_subnormal=False)
rows = st.integers(1, 60).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=unit), arrays(float, n, elements=st.sampled_from([0, 0.5, 0.7, 1])))
)


def test_accuracy_leaves_ties_out_and_counts_an_even_prediction_half() -> None:
    assert accuracy([0.9, 0.4, 0.5, 0.99], [1, 1, 0, 0.5]) == pytest.approx((1 + 0 + 0.5) / 3)
    assert accuracy([0.9, 0.1], [0.7, 0.7]) == 0.5
    assert accuracy([0.9, 0.1, 0.2], [1, 1, 0.5], weight=[3, 1, 100]) == 0.75


def test_log_loss_by_hand_and_against_sklearn() -> None:
    assert log_loss([0.8, 0.3], [1, 0.25]) == pytest.approx(
        -(np.log(0.8) + 0.25 * np.log(0.3) + 0.75 * np.log(0.7)) / 2
    )
    from sklearn.metrics import log_loss as peer

    rng = np.random.default_rng(0)
    p, w = rng.uniform(0.01, 0.99, 500), rng.uniform(0, 2, 500)
    y = rng.random(500) < p
    assert log_loss(p, y, weight=w) == pytest.approx(peer(y, p, sample_weight=w), rel=1e-12)


def test_a_certain_mistake_costs_what_the_stated_epsilon_allows() -> None:
    assert log_loss([1.0], [0]) == pytest.approx(-np.log(1e-12), rel=1e-4)
    assert log_loss([1.0, 0.0], [1, 0]) == pytest.approx(1e-12, rel=1e-3)
    assert log_loss([0.0], [1], epsilon=1e-3) == pytest.approx(-np.log(1e-3))


def test_brier_by_hand() -> None:
    assert brier([0.8, 0.3, 0.5], [1, 0, 0.5], weight=[1, 1, 2]) == pytest.approx((0.04 + 0.09) / 4)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_brier_of_a_calibrated_model_follows_its_spread(shape: float) -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(shape, shape, 400_000)
    assert brier(p, rng.random(len(p)) < p) == pytest.approx({0.5: 0.125, 1.0: 1 / 6, 2.0: 0.2}[shape], abs=0.001)


def test_signed_gap_is_accuracy_less_mean_confidence_and_can_hide_errors_that_cancel() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(size=1000)
    y = (rng.random(1000) < p**2).astype(float)
    assert signed_confidence_gap(p, y) == pytest.approx(accuracy(p, y) - np.maximum(p, 1 - p).mean(), abs=1e-15)
    # Over-confident by .1 on one half, under-confident by .1 on the other.
    p = np.repeat([0.9, 0.6], 1000)
    y = np.concatenate([np.arange(1000) < 800, np.arange(1000) < 700])
    assert signed_confidence_gap(p, y) == pytest.approx(0, abs=1e-12)
    assert ece(p, y) == pytest.approx(0.1)


@given(rows)
@settings(max_examples=50)
def test_scores_do_not_depend_on_which_side_is_left_and_ece_bounds_the_signed_gap(data) -> None:
    p, y = data
    for score in (log_loss, brier, signed_confidence_gap):
        # 1 - p keeps 16 digits of 1, not of p: the logarithm of a tiny p is known to fewer.
        assert score(1 - p, 1 - y) == pytest.approx(score(p, y), rel=1e-6, abs=1e-9)
    if (y != 0.5).any():
        # 1 - p of a tiny p is 1: not the same prediction any more, yet on the same side.
        assert accuracy(1 - p, 1 - y) == pytest.approx(accuracy(p, y))
    assert abs(signed_confidence_gap(p, y)) <= ece(p, y) + 1e-12


@given(rows, st.integers(0, 3))
@settings(max_examples=30)
def test_a_weight_is_a_number_of_copies(data, copies: int) -> None:
    p, y = data
    weight = np.ones(len(p))
    weight[0] = copies
    if weight.sum() == 0 or not ((y != 0.5) & (weight > 0)).any():
        return
    repeated = np.repeat(np.arange(len(p)), weight.astype(int))
    for score in (accuracy, log_loss, brier, signed_confidence_gap, ece):
        assert score(p, y, weight=weight) == pytest.approx(score(p[repeated], y[repeated]), abs=1e-9)


@pytest.mark.parametrize("score", [accuracy, log_loss, brier, signed_confidence_gap, ece])
def test_bad_input_is_named(score) -> None:
    with pytest.raises(DataError, match="no rows"):
        score([], [])
    with pytest.raises(UsageError, match="p has 2 rows and y has 1"):
        score([0.1, 0.2], [1])
    with pytest.raises(UsageError, match="one column"):
        score([[0.1, 0.2]], [1])
    with pytest.raises(DataError, match=r"(?s)1\.5.*row 2.*not logits"):
        score([0.1, 1.5], [1, 0])
    with pytest.raises(DataError, match=r"(?s)nan.*row 1"):
        score([np.nan, 0.5], [1, 0])
    with pytest.raises(DataError, match=r"(?s)outcome.*-1.*row 2"):
        score([0.1, 0.5], [1, -1])
    with pytest.raises(DataError, match=r"(?s)weight.*negative.*row 1"):
        score([0.1, 0.5], [1, 0], weight=[-1, 1])
    with pytest.raises(DataError, match="All weights are zero"):
        score([0.1, 0.5], [1, 0], weight=[0, 0])


def test_accuracy_of_ties_alone_is_refused_rather_than_made_up() -> None:
    with pytest.raises(DataError, match="every row is a tie"):
        accuracy([0.4, 0.6], [0.5, 0.5])
    with pytest.raises(DataError, match="every row is a tie"):
        accuracy([0.4, 0.6], [0.5, 1], weight=[1, 0])
