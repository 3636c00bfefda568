"""Change told from error: planted truth, and what that does to the people of the panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralism.errors import DataError
from pluralism.progress.panel_change import three_waves


def planted(seed: int, n: int = 5000, change: float = 0.6, error: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = np.cumsum(np.column_stack([rng.normal(3, 1, n), *(rng.normal(0.1, change, (2, n)))]), axis=1)
    return true, true + rng.normal(0, error, true.shape)


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_error_and_stability_are_found(seed: int) -> None:
    true, seen = planted(seed)
    model = three_waves(seen, n_bootstrap=100, rng=seed)
    assert model.error_variance == pytest.approx(0.64, abs=0.08) and not model.reason
    assert model.stability == pytest.approx(np.corrcoef(true[:, 0], true[:, 2])[0, 1], abs=0.05)
    low, high = model.interval["reliability"]
    assert low < 1.36 / 2.0 < high and model.fitted == 1.0
    assert "reliability 0." in repr(model) and '"stability"' in model.to_json()


def test_probabilities_of_change_are_calibrated() -> None:
    true, seen = planted(0, n=20_000)
    changes = three_waves(seen, n_bootstrap=0).changes(seen)
    moved = true[:, 2] - true[:, 0]
    inside = np.abs(moved - changes.mean) <= 1.96 * changes.deviation
    assert inside.mean() == pytest.approx(0.95, abs=0.01)
    sure = changes.sure(0.9)
    right = np.where(changes.up > 0.5, moved > 0, moved < 0)
    assert 0.02 < sure.mean() < 0.5 and right[sure].mean() > 0.9
    likely = (changes.up > 0.65) & (changes.up < 0.75)
    assert (moved > 0)[likely].mean() == pytest.approx(0.7, abs=0.03)


def test_where_nobody_changes_nobody_is_said_to() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(20_000, 1)) + 0.7 * rng.normal(size=(20_000, 3))
    models = [three_waves(part, n_bootstrap=0) for part in np.split(seen, 10)]
    fits = [model for model in models if not model.reason]
    assert fits and all(model.changes(seen).sure().mean() < 0.02 for model in fits)
    assert all(model.beyond_error(seen) == pytest.approx(0.05, abs=0.02) for model in fits)


def test_forecasts_are_the_regression_on_both_waves() -> None:
    _, seen = planted(1, n=50_000)
    model = three_waves(seen, n_bootstrap=0)
    design = np.column_stack([np.ones(len(seen)), seen[:, :2]])
    slopes = np.linalg.lstsq(design, seen[:, 2], rcond=None)[0]
    said = model.forecast(seen[:, :2], shift=float(model.means[2] - model.means[1]))
    np.testing.assert_allclose(said, design @ slopes, atol=0.03)


def test_answers_that_the_model_does_not_fit_are_named() -> None:
    rng = np.random.default_rng(0)
    model = three_waves(rng.normal(size=(200, 3)), n_bootstrap=10)
    assert model.reason and np.isnan(model.stability) and model.reason in repr(model)
    with pytest.raises(DataError, match="does not fit"):
        model.changes(np.zeros((1, 3)))
    with pytest.raises(DataError, match="missing"):
        three_waves(np.full((20, 3), np.nan))


def panel(folder: Path, name: str, item: str) -> np.ndarray:
    levels = pl.read_parquet(folder / "levels.parquet").rename({"label": "response"})
    rows = pl.read_parquet(folder / f"responses_{name}.parquet").join(levels, on=["item", "response"])
    wide = rows.filter(pl.col("item") == item).pivot(on="wave", index="respondent_id", values="level").drop_nulls()
    return wide.select("1", "2", "3").to_numpy().astype(float)


@pytest.mark.parametrize("name", ["2006", "2008"])
def test_most_people_who_answer_otherwise_have_not_changed(shared_data: Path, name: str) -> None:
    """Half of all people name another political view four years later; hardly anybody surely changed."""
    seen = panel(shared_data / "gss_panels", name, "polviews")
    model = three_waves(seen, n_bootstrap=200)
    assert len(seen) > 1100 and (seen[:, 0] != seen[:, 2]).mean() > 0.5
    assert 0.55 < model.interval["reliability"][0] < model.interval["reliability"][1] < 0.8
    assert model.interval["stability"][0] > 0.7
    assert model.beyond_error(seen) < 0.1 and model.changes(seen).sure().mean() < 0.05


@pytest.mark.parametrize("item", ["polviews", "grass", "cappun", "fefam"])
def test_the_model_forecasts_the_third_wave_of_other_people_better_than_persistence(
    shared_data: Path, item: str
) -> None:
    """Fitted on the panel of 2006, tried on that of 2008: only the first two waves of the latter are seen."""
    model = three_waves(panel(shared_data / "gss_panels", "2006", item), n_bootstrap=0)
    other = panel(shared_data / "gss_panels", "2008", item)
    said = model.forecast(other[:, :2])
    errors = [np.square(guess - other[:, 2]).mean() for guess in (said, other[:, 1], other[:, :2].mean(axis=1))]
    assert errors[0] < 0.85 * errors[1] and errors[0] < errors[2]
