from __future__ import annotations

import json

import numpy as np
import pytest

import pluralism as pl
from pluralism import calibration
from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry

PINNED = [
    "n",
    "users",
    "accuracy",
    "nll",
    "brier",
    "ece",
    "ece_null_low",
    "ece_null_high",
    "worst_group_accuracy",
    "groups",
]


@pytest.fixture(scope="module")
def test_rows(people):
    data = people.comparisons
    return data.take(np.arange(len(data)) % 2 == 1)


def with_columns(data: Comparisons, **columns) -> Comparisons:
    return Comparisons(**{**vars(data), **columns})


def test_scores_are_those_of_the_calibration_room(fitted, test_rows) -> None:
    weight = np.random.default_rng(0).uniform(0.2, 3, len(test_rows))
    data = with_columns(test_rows, weight=weight)
    p, y = fitted.predict_proba(data), data.outcome
    found = pl.evaluate(fitted, data, n_bins=10, n_bootstrap=50)
    told = y != 0.5
    assert found.n_ties == (~told).sum() > 0
    assert found.accuracy == pytest.approx(calibration.accuracy(p, y, weight=weight))
    assert found.nll == pytest.approx(calibration.log_loss(p, y, weight=weight))
    assert found.brier == pytest.approx(calibration.brier(p, y, weight=weight))
    on = {"weight": weight[told]}
    assert found.nll_decided == pytest.approx(calibration.log_loss(p[told], y[told], **on))
    assert found.brier_decided == pytest.approx(calibration.brier(p[told], y[told], **on))
    assert found.ece == pytest.approx(calibration.ece(p[told], y[told], n_bins=10, **on))
    assert found.reliability.ece == pytest.approx(found.ece)
    assert found.ece_debiased == pytest.approx(calibration.debiased_ece(p[told], y[told], n_bins=10, **on))
    assert found.signed_confidence_gap == pytest.approx(calibration.signed_confidence_gap(p[told], y[told], **on))
    for score in found.groups:
        rows = test_rows.group == test_rows.groups.to_pylist().index(score.name)
        assert score.n == rows.sum()
        assert score.users == len(np.unique(test_rows.user[rows]))
        assert score.accuracy == pytest.approx(calibration.accuracy(p[rows], y[rows], weight=weight[rows]))
        assert score.nll == pytest.approx(calibration.log_loss(p[rows], y[rows], weight=weight[rows]))
        rows &= told
        assert score.ece == pytest.approx(calibration.ece(p[rows], y[rows], n_bins=10, weight=weight[rows]))
    assert found.worst_group_accuracy == min(score.accuracy for score in found.groups)
    assert [score.accuracy for score in found.groups if score.name == found.worst_group] == [found.worst_group_accuracy]


def test_the_tenth_percentile_user_by_hand(fitted, test_rows) -> None:
    p, y = fitted.predict_proba(test_rows), test_rows.outcome
    accuracies = []
    for user in range(60):
        rows = (test_rows.user == user) & (y != 0.5)
        if rows.sum() >= 13:
            accuracies.append(np.mean((p[rows] > 0.5) == (y[rows] > 0.5)))
    found = pl.evaluate(fitted, test_rows, min_user_rows=13, n_bootstrap=100)
    assert 10 < found.p10_users == len(accuracies) < 60
    assert found.p10_user_accuracy == pytest.approx(np.quantile(accuracies, 0.1, method="inverted_cdf"))
    none = pl.evaluate(fitted, test_rows, min_user_rows=100, n_bootstrap=10)
    assert np.isnan(none.p10_user_accuracy)
    assert none.p10_users == 0


def test_a_perfect_and_a_hopeless_model(known_mixture, people, test_rows) -> None:
    sharp = known_mixture(heads=people.truth.heads[:1], weights=[1.0], temperature=1e-6).fit(test_rows)
    p = sharp.predict_proba(test_rows)
    right = pl.evaluate(sharp, with_columns(test_rows, outcome=np.round(p)), n_bootstrap=10)
    wrong = pl.evaluate(sharp, with_columns(test_rows, outcome=1 - np.round(p)), n_bootstrap=10)
    assert (right.accuracy, right.p10_user_accuracy, wrong.accuracy) == (1, 1, 0)
    assert right.intervals["accuracy"] == (1, 1)
    assert wrong.ece == pytest.approx(1, abs=0.01)
    assert right.ece < 0.01
    assert wrong.signed_confidence_gap == pytest.approx(-1, abs=0.01)


def test_a_calibrated_model_is_found_calibrated_and_a_sharpened_one_not(known_mixture, people) -> None:
    sim = simulate_mixture(n_users=80, n_groups=1, n_items=100, dim=4, pairs_per_user=40, scale=1.5, rng=5)
    true, sure = (
        known_mixture(heads=sim.truth.heads, weights=[1.0], temperature=t).fit(sim.comparisons) for t in (1.0, 0.4)
    )
    calibrated, overconfident = (pl.evaluate(m, sim.comparisons, n_bootstrap=200) for m in (true, sure))
    assert calibrated.ece_null_low * 0.7 < calibrated.ece < calibrated.ece_null_high * 1.2
    assert overconfident.ece > 2 * overconfident.ece_null_high
    assert overconfident.signed_confidence_gap < -0.05
    assert "above a calibrated model" in repr(overconfident)


def test_temperature_is_fitted_on_other_rows_and_mends_the_sharpened_model(known_mixture) -> None:
    sim = simulate_mixture(n_users=100, n_groups=1, n_items=100, dim=4, pairs_per_user=40, scale=1.5, rng=6)
    test, held_out = sim.comparisons.split(test=0.5, by="pair", rng=0)
    model = known_mixture(heads=sim.truth.heads, weights=[1.0], temperature=0.4).fit(test)
    found = pl.evaluate(model, test, calibration=held_out, n_bootstrap=10)
    after = found.calibrated
    assert after.temperature == pytest.approx(2.5, abs=4 * after.standard_error)
    assert after.nll < found.nll - 0.05
    assert after.ece < found.ece_null_high * 1.5 < found.ece
    assert "temperature" in repr(found)
    assert found.to_dict()["calibrated"]["temperature"] == after.temperature
    with pytest.raises(DataError, match="calibration data"):
        pl.evaluate(model, test, calibration=test, n_bootstrap=10)


def test_groups_of_the_data_of_the_model_and_of_ones_own(fitted, test_rows) -> None:
    seen = test_rows.take(test_rows.user < 40)
    by_data = pl.evaluate(fitted, seen, n_bootstrap=10)
    assert by_data.group_source == "the group column of the data"
    bare = with_columns(seen, group=None, groups=None)
    by_model = pl.evaluate(fitted, bare, n_bootstrap=10)
    assert "most likely group" in by_model.group_source
    assert [score.name for score in by_model.groups] == ["group 0", "group 1", "group 2"]
    labels = fitted.membership().labels
    assert [score.users for score in by_model.groups] == np.bincount(labels, minlength=3).tolist()
    assert pl.evaluate(fitted, seen, groups="model", n_bootstrap=0).groups[0].n == by_model.groups[0].n
    mine = pl.evaluate(fitted, seen, groups={"user-0": "ann", "user-1": "ann", "user-2": "bob"}, n_bootstrap=10)
    assert [(score.name, score.users) for score in mine.groups] == [("ann", 2), ("bob", 1), ("(unknown)", 37)]
    with pytest.raises(UsageError, match=r"(?s)None of the scored users.*'user-0'"):
        pl.evaluate(fitted, seen, groups={"0": "ann"})
    with pytest.raises(UsageError, match="no group column"):
        pl.evaluate(fitted, bare, groups="data")
    with pytest.raises(UsageError, match="groups='gender'"):
        pl.evaluate(fitted, bare, groups="gender")


def test_users_that_nobody_placed_are_never_the_worst_group(fitted, test_rows) -> None:
    bare = with_columns(test_rows, group=None, groups=None)
    found = pl.evaluate(fitted, bare, n_bootstrap=10)
    assert found.groups[-1].name == "(unknown)"
    assert found.groups[-1].users == 20
    assert found.worst_group in ("group 0", "group 1", "group 2")
    strangers = pl.evaluate(fitted, bare.take(bare.user >= 40), n_bootstrap=10)
    assert strangers.worst_group is None
    assert strangers.to_dict()["worst_group_accuracy"] is None
    assert strangers.n_users_prior == 20


def test_a_pooled_model_has_one_group(people, test_rows) -> None:
    bare = with_columns(test_rows, group=None, groups=None)
    model = BradleyTerry(ridge=1.0, uncertainty=False).fit(bare.take(bare.user < 30))
    found = pl.evaluate(model, bare, n_bootstrap=10)
    assert [score.name for score in found.groups] == ["group 0"]
    assert found.worst_group_accuracy == found.accuracy
    assert found.group_source == "the model has one group"


def test_weight_zero_is_absent_and_ties_alone_leave_some_scores_empty(fitted, test_rows) -> None:
    weight = np.where(test_rows.user < 10, 0.0, 1.0)
    found = pl.evaluate(fitted, with_columns(test_rows, weight=weight), n_bootstrap=10)
    assert found.users == 50
    assert found.n == (weight > 0).sum()
    ties = pl.evaluate(fitted, with_columns(test_rows, outcome=np.full(len(test_rows), 0.5)), n_bootstrap=10)
    assert np.isnan([ties.accuracy, ties.ece, ties.worst_group_accuracy, ties.p10_user_accuracy]).all()
    assert ties.reliability is None
    assert ties.nll > np.log(2)
    assert json.loads(ties.to_json())["accuracy"] is None
    assert "–" in repr(ties)
    for nothing in (test_rows.take(np.zeros(0, int)), with_columns(test_rows, weight=np.zeros(len(test_rows)))):
        with pytest.raises(DataError, match="to score"):
            pl.evaluate(fitted, nothing)


def test_one_user_has_no_interval(fitted, test_rows) -> None:
    found = pl.evaluate(fitted, test_rows.take(test_rows.user == 0))
    assert found.users == 1
    assert np.isnan(found.intervals["accuracy"]).all()
    assert json.loads(found.to_json())["intervals"]["accuracy"] == [None, None]


def test_json_frame_and_repr(fitted, test_rows) -> None:
    found = pl.evaluate(fitted, test_rows, n_bootstrap=50)
    document = json.loads(found.to_json())
    assert set(PINNED) <= set(document)
    assert [type(document[key]) for key in PINNED] == [int, int, *[float] * 7, list]
    assert {"name", "n", "users", "accuracy", "nll", "brier", "ece"} <= set(document["groups"][0])
    assert found.to_frame().column("name").to_pylist() == ["all", "group-0", "group-1", "group-2"]
    assert found.to_frame().column("accuracy_low").to_pylist()[0] == found.intervals["accuracy"][0]
    text = repr(found)
    assert "40 known from training; 20 by the population prior alone" in text
    for word in ("accuracy", "nll_decided", "if calibrated", "group-2", "users with 5 or more decisions"):
        assert word in text


def test_same_seed_same_result(fitted, test_rows) -> None:
    first, second, third = (pl.evaluate(fitted, test_rows, n_bootstrap=100, rng=rng) for rng in (1, 1, 2))
    assert first.to_json() == second.to_json()
    assert first.intervals != third.intervals
    assert first.nll == third.nll


def test_a_model_that_predicts_no_probabilities_is_named(known_mixture, people, test_rows) -> None:
    class Broken(known_mixture):
        def predict_proba(self, comparisons, *, membership=None):
            return super().predict_proba(comparisons) * 2

    model = Broken(heads=people.truth.heads, weights=people.truth.group_weights).fit(test_rows)
    with pytest.raises(DataError, match="no probabilities"):
        pl.evaluate(model, test_rows)


@pytest.mark.parametrize("bad", [{"n_bins": 0}, {"n_bootstrap": -1}, {"level": 1.0}, {"min_user_rows": 0}, {"rng": -1}])
def test_impossible_settings(fitted, test_rows, bad) -> None:
    with pytest.raises(UsageError):
        pl.evaluate(fitted, test_rows, **bad)
