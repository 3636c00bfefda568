from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pluralism.calibration import brier, decompose, log_loss
from pluralism.calibration._inputs import Rows
from pluralism.calibration.isotonic_fit import pooled_means
from pluralism.errors import DataError, UsageError

rows = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(float, n, elements=st.integers(0, 20).map(lambda k: k / 20)),
        arrays(float, n, elements=st.sampled_from([0, 0.5, 0.7, 1])),
        arrays(float, n, elements=st.sampled_from([0.5, 1, 3])),
    )
)


def min_max(p, y, w) -> np.ndarray:
    """Isotonic regression by its min-max formula: the largest over lower ends of the smallest mean over upper ends."""
    values = np.unique(p)
    out = []
    for v in p:
        best = -np.inf
        for low in values[values <= v]:
            means = [
                np.average(y[(p >= low) & (p <= high)], weights=w[(p >= low) & (p <= high)])
                for high in values[values >= v]
            ]
            best = max(best, min(means))
        out.append(best)
    return np.array(out)


@given(rows)
@settings(max_examples=50)
def test_isotonic_fit_is_the_min_max_formula(data) -> None:
    p, y, w = data
    _, fitted, where = pooled_means(Rows(p, y, w))
    np.testing.assert_allclose(fitted[where], min_max(p, y, w), atol=1e-12)


@given(rows, st.sampled_from(["brier", "log_loss"]), st.booleans())
@settings(max_examples=50)
def test_the_parts_add_up_and_none_is_negative(data, score, mirrored) -> None:
    p, y, w = data
    found = decompose(p, y, score=score, weight=w, mirrored=mirrored)
    plain = {"brier": brier, "log_loss": log_loss}[score](p, y, weight=w)
    assert found.value == pytest.approx(plain, rel=1e-5, abs=1e-11)
    total = found.miscalibration - found.discrimination + found.uncertainty
    assert total == pytest.approx(found.value, abs=1e-12 * max(1, found.value))
    assert found.miscalibration >= -1e-11
    assert found.discrimination >= -1e-11


def test_it_is_the_murphy_decomposition_where_predictions_are_few_and_in_order() -> None:
    p = np.repeat([0.2, 0.5, 0.9], [40, 30, 50])
    y = np.concatenate([np.arange(40) < 12, np.arange(30) < 18, np.arange(50) < 40]).astype(float)
    share = {0.2: 0.3, 0.5: 0.6, 0.9: 0.8}
    observed = np.array([share[v] for v in p])
    found = decompose(p, y, mirrored=False)
    assert found.miscalibration == pytest.approx(np.mean((p - observed) ** 2))
    assert found.discrimination == pytest.approx(np.mean((observed - y.mean()) ** 2))
    assert found.uncertainty == pytest.approx(y.mean() * (1 - y.mean()))


def test_isotonic_part_agrees_with_sklearn() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(0)
    p, w = rng.uniform(size=500).round(2), rng.uniform(0.1, 2, 500)
    y = (rng.random(500) < p**1.5).astype(float)
    peer = IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y, sample_weight=w)
    found = decompose(p, y, weight=w, mirrored=False)
    assert found.recalibrated == pytest.approx(np.average((peer - y) ** 2, weights=w), abs=1e-12)


@pytest.mark.parametrize(("score", "even"), [("brier", 0.25), ("log_loss", np.log(2))])
def test_sides_do_not_matter_and_the_uncertainty_is_that_of_an_even_prediction(score, even) -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(size=800)
    y = (rng.random(800) < p**1.4).astype(float)
    turned = rng.random(800) < 0.5
    one = decompose(p, y, score=score)
    two = decompose(np.where(turned, 1 - p, p), np.where(turned, 1 - y, y), score=score)
    for name in ("value", "miscalibration", "discrimination", "uncertainty"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-9)
    assert one.uncertainty == pytest.approx(even)


def test_calibrated_predictions_have_little_miscalibration_and_sharper_ones_more() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.05, 0.95, 50_000)
    y = rng.random(50_000) < truth
    sharp = truth**2 / (truth**2 + (1 - truth) ** 2)
    fair, sure = decompose(truth, y), decompose(sharp, y)
    assert fair.miscalibration < 0.0005
    assert sure.miscalibration > 0.005
    # A monotone change of the predictions moves miscalibration alone.
    assert sure.discrimination == pytest.approx(fair.discrimination, abs=1e-12)
    assert fair.discrimination == pytest.approx(np.var(truth), abs=0.002)
    assert fair.skill > sure.skill > 0


def test_it_is_readable() -> None:
    found = decompose([0.9, 0.9, 0.6, 0.6], [1, 1, 1, 0])
    assert "miscalibration" in repr(found)
    assert json.loads(found.to_json())["n"] == 4
    assert found.to_frame().num_rows == 1
    assert np.isnan(decompose([1.0, 1.0], [1, 1], mirrored=False).skill)
    with pytest.raises(UsageError, match="brier"):
        decompose([0.5], [1], score="crps")
    with pytest.raises(DataError, match="not in"):
        decompose([1.5], [1])
