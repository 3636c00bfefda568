from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from pluralism.calibration import (
    SHAPINGS,
    CDFCalibrator,
    log_sigmoid_centred,
    lsc_and,
    lsc_or,
    par,
    reference_levels,
    shape_rewards,
)
from pluralism.calibration.shaping import polynomial_coefficients
from pluralism.errors import DataError, DataWarning, NotFittedError, UsageError


def test_cdf_is_the_win_rate_against_the_references() -> None:
    rng = np.random.default_rng(0)
    r, reference = rng.integers(0, 5, (3, 6, 2)).astype(float), rng.integers(0, 5, (3, 8, 2)).astype(float)
    found = CDFCalibrator(shrinkage=0).fit(reference).transform(r)
    wins = r[:, :, None] > reference[:, None]
    ties = r[:, :, None] == reference[:, None]
    np.testing.assert_allclose(found, (wins + 0.5 * ties).mean(axis=2))


@given(st.integers(0, 1000))
@settings(max_examples=25)
def test_cdf_has_mean_one_half_and_ignores_increasing_transforms_of_each_prompt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.integers(-3, 4, (4, 7, 2)).astype(float)
    r = rng.integers(-3, 4, (4, 5, 2)).astype(float)
    calibrator = CDFCalibrator(shrinkage=0).fit(reference)
    np.testing.assert_allclose(calibrator.transform(reference).mean(axis=1), 0.5, atol=1e-12)
    scale, shift = rng.uniform(0.5, 3, (4, 1, 2)), rng.normal(size=(4, 1, 2))
    other = CDFCalibrator(shrinkage=0).fit(np.exp(scale * reference) + shift)
    np.testing.assert_allclose(other.transform(np.exp(scale * r) + shift), calibrator.transform(r))


def test_shrunk_cdf_has_mean_one_half_and_ignores_shifts_of_prompts_and_a_common_scale() -> None:
    rng = np.random.default_rng(1)
    reference, r = rng.normal(size=(6, 4, 2)), rng.normal(size=(6, 3, 2))
    found = CDFCalibrator(shrinkage=3).fit(reference)
    assert found.transform(reference).mean() == pytest.approx(0.5)
    shift = rng.normal(size=(6, 1, 2))
    np.testing.assert_allclose(
        CDFCalibrator(shrinkage=3).fit(2 * reference + shift).transform(2 * r + shift), found.transform(r), atol=1e-12
    )


def test_shrinkage_helps_where_references_are_few() -> None:
    rng = np.random.default_rng(2)
    for m in (2, 4, 8):
        offset = rng.normal(0, 3, (400, 1))
        reference, r = offset + rng.normal(size=(400, m)), offset + rng.normal(size=(400, 20))
        truth = norm.cdf(r - offset)
        error = [
            np.mean((CDFCalibrator(shrinkage=s).fit(reference[..., None]).transform(r[..., None])[..., 0] - truth) ** 2)
            for s in (0.0, 5.0)
        ]
        assert error[1] < 0.8 * error[0], m


def test_ragged_references_and_unknown_prompts() -> None:
    reference = np.array([[0.0, 1.0, np.nan], [5.0, np.nan, np.nan], [np.nan] * 3])[..., None]
    calibrator = CDFCalibrator(shrinkage=0).fit(reference)
    np.testing.assert_array_equal(calibrator.n_references_[:, 0], [2, 1, 0])
    r = np.full((2, 1, 1), 0.5)
    np.testing.assert_allclose(calibrator.transform(r, prompt=[0, 1])[:, 0, 0], [0.5, 0.0])
    with pytest.warns(DataWarning, match="2 prompt"):
        np.testing.assert_allclose(calibrator.transform(r, prompt=[-1, 2])[:, 0, 0], 1 / 3)
    assert "1" in repr(calibrator)
    assert calibrator.to_dict()["n_references"] == [[2], [1], [0]]


def test_cdf_of_constant_rewards_is_one_half() -> None:
    for shrinkage in (0.0, 5.0):
        np.testing.assert_allclose(CDFCalibrator(shrinkage=shrinkage).fit_transform(np.full((2, 4, 1), 7.0)), 0.5)


def test_par_is_its_definition_and_becomes_the_cdf_as_it_steepens() -> None:
    rng = np.random.default_rng(3)
    r, reference = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 7, 2))
    expected = np.mean(expit(1.5 * (r[:, :, None] - reference[:, None])), axis=2)
    np.testing.assert_allclose(par(r, reference, slope=1.5), expected)
    steep = par(r, reference, slope=1e7)
    np.testing.assert_allclose(steep, CDFCalibrator(shrinkage=0).fit(reference).transform(r), atol=1e-6)
    ragged = np.concatenate([reference, np.full((3, 2, 2), np.nan)], axis=1)
    np.testing.assert_allclose(par(r, ragged, slope=1.5), expected)
    assert par([0.3], [0.3])[0] == 0.5


def test_log_sigmoid_slopes_and_extremes() -> None:
    u = log_sigmoid_centred([-800.0, -5.0, 0.0, 5.0, 800.0], 0.0)
    np.testing.assert_allclose(u, [-800, -np.log1p(np.exp(5)), -np.log(2), -np.log1p(np.exp(-5)), 0], atol=1e-12)
    h = 1e-6
    slope = (log_sigmoid_centred([1 + h], 0.5) - log_sigmoid_centred([1 - h], 0.5)) / (2 * h)
    assert slope[0] == pytest.approx(expit(-0.5), abs=1e-8)


def test_and_or_are_probabilities_of_independent_events() -> None:
    rng = np.random.default_rng(4)
    r, level = rng.normal(0, 2, (2, 6, 3)), rng.normal(size=(2, 3))
    good = expit(r - level[:, None])
    np.testing.assert_allclose(np.exp(lsc_and(r, level)), good.prod(axis=2))
    np.testing.assert_allclose(np.exp(lsc_or(r, level)), 1 - (1 - good).prod(axis=2))
    w = [2.0, 0.5, 0.0]
    np.testing.assert_allclose(np.exp(lsc_and(r, level, weights=w)), (good**w).prod(axis=2))
    np.testing.assert_allclose(np.exp(lsc_or(r, level, weights=w)), 1 - ((1 - good) ** w).prod(axis=2))


@pytest.mark.parametrize("size", [10.0, 29.9, 30.1, 100.0, 2000.0])
def test_or_stays_exact_where_probabilities_underflow(size: float) -> None:
    """For small probabilities OR is the logarithm of their sum."""
    found = lsc_or([[-size, -size - 1.0]], 0.0)[0]
    assert found == pytest.approx(np.logaddexp(-size, -size - 1.0), abs=1e-4)
    assert lsc_or([[size, -size]], 0.0)[0] == pytest.approx(0, abs=1e-4)


def test_levels_are_quantiles_shrunk_to_those_of_all_prompts() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(5, 8, 2)) + 10 * rng.normal(size=(5, 1, 2))
    own = np.quantile(reference, 0.85, axis=1)
    np.testing.assert_allclose(reference_levels(reference, shrinkage=0), own)
    mean = reference.mean(axis=1)
    pooled = mean + np.quantile(reference - mean[:, None], 0.85, axis=(0, 1))
    np.testing.assert_allclose(reference_levels(reference, shrinkage=4), (8 * own + 4 * pooled) / 12)
    np.testing.assert_allclose(reference_levels(reference[0]), own[0])
    with pytest.raises(UsageError, match="prompt 1"):
        reference_levels([[[0.0]], [[np.nan]]])
    with pytest.raises(UsageError, match="quantile"):
        reference_levels([0.0], quantile=1.5)


DEFINITIONS = {
    "mean_std": lambda r, m, s, low, high: (r - m) / s,
    "clip": lambda r, m, s, low, high: np.clip(r, m - s, m + s),
    "ceiling": lambda r, m, s, low, high: np.minimum(r, high),
    "min_max": lambda r, m, s, low, high: np.clip((r - low) / (high - low), 0, 1),
    "sigmoid": lambda r, m, s, low, high: expit(r - m),
    "slow_fast": lambda r, m, s, low, high: expit(r - m - 3),
    "tanh": lambda r, m, s, low, high: np.tanh(r - m),
    "arctan": lambda r, m, s, low, high: np.arctan(np.pi * (r - m) / 2) / (np.pi / 2),
}


@pytest.mark.parametrize("over", ["all", "prompt"])
@pytest.mark.parametrize("kind", list(DEFINITIONS))
def test_shapings_are_their_definitions(kind: str, over: str) -> None:
    rng = np.random.default_rng(6)
    r, reference = rng.normal(0, 2, (3, 5, 2)), rng.normal(0, 2, (3, 9, 2))
    axis = (0, 1) if over == "all" else 1
    statistics = (f(reference, axis=axis, keepdims=True) for f in (np.mean, np.std, np.min, np.max))
    expected = DEFINITIONS[kind](r, *statistics)
    np.testing.assert_allclose(shape_rewards(r, kind, reference=reference, over=over), expected)


def test_the_polynomial_is_the_closest_of_its_degree_to_the_sigmoid() -> None:
    d = np.linspace(-5, 5, 20_001)
    a, b, c = polynomial_coefficients()
    fit = np.polynomial.Polynomial.fit(d, expit(d), 5).convert().coef
    np.testing.assert_allclose([a, b, c], fit[[1, 3, 5]], rtol=1e-3)
    shaped = shape_rewards(d, "polynomial", reference=[0.0])
    assert np.abs(shaped - expit(d)).max() < 0.03
    np.testing.assert_array_equal(shape_rewards([-50.0, 50.0], "polynomial", reference=[0.0]), shaped[[0, -1]])


@pytest.mark.parametrize("kind", list(SHAPINGS))
def test_shapings_never_decrease_and_take_constant_rewards(kind: str) -> None:
    r = np.linspace(-9, 9, 401)
    assert (np.diff(shape_rewards(r, kind, reference=[-1.0, 0.0, 2.0])) >= -1e-12).all()
    flat = shape_rewards(np.full((2, 3, 1), 0.1 + 0.2), kind)
    assert np.isfinite(flat).all()
    assert np.ptp(flat) == 0
    around = shape_rewards([0.0, 1.0, 2.0], kind, reference=[1.0, 1.0])
    assert np.isfinite(around).all()
    if kind == "min_max":
        np.testing.assert_array_equal(around, [0, 0.5, 1])
    if kind == "mean_std":
        np.testing.assert_array_equal(around, [-1, 0, 1])


def test_an_increasing_transform_of_a_prompt_keeps_its_best_candidate() -> None:
    r, reference = np.random.default_rng(7).normal(size=(20, 8, 1)), np.random.default_rng(8).normal(size=(20, 5, 1))
    best = r.argmax(axis=1)
    for shaped in (par(r, reference), log_sigmoid_centred(r, 0.3), shape_rewards(r, "tanh", over="prompt")):
        np.testing.assert_array_equal(shaped.argmax(axis=1), best)


def test_shapes_come_back_as_they_were_given() -> None:
    for shape in ((4,), (4, 2), (3, 4, 2)):
        r = np.random.default_rng(9).normal(size=shape)
        for out in (CDFCalibrator().fit_transform(r), par(r, r), log_sigmoid_centred(r, 0.0), shape_rewards(r, "clip")):
            assert out.shape == shape
        assert lsc_and(r, 0.0).shape == (shape if len(shape) == 1 else shape[:-1])
    shared = np.random.default_rng(1).normal(size=(6, 2))
    np.testing.assert_allclose(par(r, shared), [par(one, shared) for one in r])


def test_what_cannot_be_transformed() -> None:
    with pytest.raises(UsageError, match="kind"):
        shape_rewards([1.0], "softmax")
    with pytest.raises(UsageError, match="over"):
        shape_rewards([1.0], "tanh", over="batch")
    with pytest.raises(UsageError, match="slope"):
        par([1.0], [0.0], slope=0)
    with pytest.raises(UsageError, match="shape"):
        par(np.ones((1, 1, 1, 1)), [0.0])
    with pytest.raises(DataError, match="finite"):
        par([np.inf], [0.0])
    with pytest.raises(DataError, match="no reference"):
        par([1.0], [np.nan])
    with pytest.raises(UsageError, match="prompt 0"):
        par(np.ones((2, 1, 1)), [[[np.nan]], [[1.0]]])
    with pytest.raises(UsageError, match="2 prompts"):
        par(np.ones((2, 1, 1)), np.ones((3, 1, 1)))
    with pytest.raises(UsageError, match="levels"):
        lsc_and(np.ones((3, 2)), [0.0, 1.0, 2.0])
    with pytest.raises(UsageError, match="shrinkage"):
        CDFCalibrator(shrinkage=-1).fit([0.0])
    with pytest.raises(NotFittedError):
        CDFCalibrator().transform([0.0])
    with pytest.raises(UsageError, match="row"):
        CDFCalibrator().fit(np.ones((2, 3, 1))).transform(np.ones((1, 1, 1)), prompt=[2])
    with pytest.raises(UsageError, match="prompt="):
        CDFCalibrator().fit(np.ones((2, 3, 1))).transform(np.ones((3, 1, 1)))
