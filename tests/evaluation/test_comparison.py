from __future__ import annotations

import json

import numpy as np
import pytest

import pluralism as pl
from pluralism.calibration import accuracy, log_loss
from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry


@pytest.fixture(scope="module")
def parts(people):
    data = people.comparisons
    odd = np.arange(len(data)) % 2 == 1
    train = data.take(~odd & (data.user < 40))
    return train, data.take(odd), data.take(~odd & (data.user >= 40))


@pytest.fixture(scope="module")
def models(known_mixture, people):
    true = {"heads": people.truth.heads, "weights": people.truth.group_weights}
    return {
        "pooled": BradleyTerry(ridge=1.0, uncertainty=False),
        "true": known_mixture(**true, with_control=True),
        "copy": known_mixture(**true),
    }


@pytest.fixture(scope="module")
def comparison(models, parts):
    train, test, support = parts
    return pl.compare(models, train, test, support=support, n_bootstrap=500)


def test_each_row_is_what_evaluate_says_of_that_model(comparison, parts) -> None:
    _, test, support = parts
    for row in comparison.rows:
        alone = pl.evaluate(comparison.models[row.name], test, support=support, n_bootstrap=500)
        assert row.evaluation.to_json() == alone.to_json()
        assert row.fit_seconds > 0
    assert [row.n_groups for row in comparison.rows] == [1, 3, 3]


def test_differences_are_paired_and_by_bootstrap_over_users(comparison, parts) -> None:
    _, test, support = parts
    true, pooled = comparison["true"], comparison["pooled"]
    value, low, high = true.differences["nll"]
    assert value == pytest.approx(true.evaluation.nll - pooled.evaluation.nll)
    assert low < value < high < 0
    models = comparison.models
    loss = []
    for name in ("true", "pooled"):
        p = models[name].predict_proba(test, membership=models[name].adapt(support.compact()))
        loss.append(-(test.outcome * np.log(p) + (1 - test.outcome) * np.log(1 - p)))
    difference = loss[0] - loss[1]
    residual = np.bincount(test.user, difference - difference.mean())
    sd = np.sqrt((residual**2).sum()) / len(test)
    assert (high - low) / (2 * 1.96) == pytest.approx(sd, rel=0.15)
    assert pooled.differences["nll"] == (0, 0, 0)


def test_best_is_marked_only_where_nothing_else_could_be(comparison, models, parts) -> None:
    train, test, support = parts
    # Two equal models: neither beats the other.
    assert all(row.best == () for row in comparison.rows)
    assert comparison["copy"].differences == comparison["true"].differences
    two = {name: models[name] for name in ("true", "pooled")}
    clear = pl.compare(two, train, test, support=support, reference="pooled", n_bootstrap=500)
    assert clear["true"].best == ("accuracy", "nll")
    assert clear["pooled"].best == ()
    assert clear.reference == "pooled"
    assert clear["true"].differences["accuracy"][1] > 0
    assert repr(clear).count("*") == 3
    alone = pl.compare({"true": models["true"]}, train, test, n_bootstrap=50)
    assert alone["true"].best == ()


def test_the_control_is_reported_beside_the_model_that_has_one(comparison, parts) -> None:
    _, test, _ = parts
    control = comparison["true"].control
    p = comparison.models["true"].control_.predict_proba(test)
    assert control["nll"] == pytest.approx(log_loss(p, test.outcome))
    assert control["accuracy"] == pytest.approx(accuracy(p, test.outcome))
    assert control["nll_gain"][0] == pytest.approx(comparison["true"].evaluation.nll - control["nll"])
    assert control["nll_gain"][2] < 0 < control["accuracy_gain"][1]
    assert comparison["copy"].control is None


def test_the_models_given_stay_unfitted(comparison, models) -> None:
    assert not any(hasattr(model, "converged_") for model in models.values())
    assert all(hasattr(model, "converged_") for model in comparison.models.values())


def test_without_groups_in_the_data_all_models_share_those_of_the_richest(models, parts) -> None:
    train, test, support = parts
    bare = Comparisons(**{**vars(test), "group": None, "groups": None})
    found = pl.compare(models, train, bare, support=support, n_bootstrap=20)
    assert "(of 'true', for all models)" in found.group_source
    for row in found.rows:
        assert [score.name for score in row.evaluation.groups] == ["group 0", "group 1", "group 2"]
    assert found["pooled"].evaluation.worst_group_accuracy < found["true"].evaluation.worst_group_accuracy


def test_json_frame_and_repr(comparison) -> None:
    document = json.loads(comparison.to_json())
    assert [row["model"] for row in document["models"]] == ["pooled", "true", "copy"]
    assert {"n", "users", "accuracy", "nll", "brier", "ece", "worst_group_accuracy", "fit_seconds", "n_groups"} <= set(
        document["models"][0]
    )
    frame = comparison.to_frame()
    assert frame.num_rows == len(comparison) == 3
    assert frame.column("difference_nll_high").to_pylist()[0] == 0
    assert frame.column("control_nll").to_pylist()[1] == comparison["true"].control["nll"]
    text = repr(comparison)
    for word in ("pooled", "reference", "nll less reference", "one group: nll", "Groups: the group column of the data"):
        assert word in text


def test_progress_is_told_by_model(models, parts) -> None:
    train, test, _ = parts
    told = []
    pl.compare(
        {name: models[name] for name in ("pooled", "copy")},
        train,
        test,
        n_bootstrap=0,
        callback=lambda *args: told.append(args),
    )
    assert {line[0] for line in told} == {"pooled", "copy"}
    assert all(len(line) == 4 for line in told)


def test_training_rows_among_the_test_rows_are_told(models, parts) -> None:
    train, test, _ = parts
    leaky = test.concat(train.take(np.array([3])))
    with pytest.warns(DataWarning, match=f"1 of the 901 test rows.*first is row {len(test) + 1}"):
        pl.compare({"pooled": models["pooled"]}, train, leaky, n_bootstrap=0)


def test_bad_arguments(models, parts) -> None:
    train, test, _ = parts
    with pytest.raises(UsageError, match="no models"):
        pl.compare({}, train, test)
    with pytest.raises(UsageError, match="no model 'nobody'"):
        pl.compare(models, train, test, reference="nobody")
    with pytest.raises(DataError, match="to score"):
        pl.compare(models, train, test.take(np.zeros(0, int)))
    with pytest.raises(KeyError):
        pl.compare({"pooled": models["pooled"]}, train, test, n_bootstrap=0)["bt"]


def test_the_library_s_own_mixture_beats_its_control_where_there_are_groups(parts) -> None:
    train, test, support = parts
    own = {"bt": BradleyTerry(ridge=1.0), "maxmin": MixtureBradleyTerry(n_groups=3, ridge=1.0, rng=0)}
    found = pl.compare(own, train, test, support=support, n_bootstrap=300)
    assert found["maxmin"].best == ("accuracy", "nll")
    assert found["maxmin"].control["nll"] == pytest.approx(found["bt"].evaluation.nll, abs=0.02)


def test_unseen_users_are_scored_by_their_answers_and_the_finding_is_said():
    data = simulate_mixture(n_users=80, n_groups=2, n_items=80, dim=4, pairs_per_user=30, scale=4.0, rng=5).comparisons
    train = data.take((data.user < 60) & (np.arange(len(data)) % 3 > 0))
    test = data.take((data.user >= 60) | (np.arange(len(data)) % 3 == 0))
    models = {
        "one": BradleyTerry(ridge=1.0, item_effects=False),
        "again": BradleyTerry(ridge=1.0, item_effects=False),
        "groups": MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, rng=0),
    }
    found = pl.evaluation.compare(models, train, test, n_bootstrap=200)
    curves = {name: found[name].few_shot for name in models}
    assert curves["one"].shots == (0, 2, 5, 10, 20)
    assert curves["one"].users == 20
    assert curves["groups"].nll[-1] < curves["groups"].nll[0] - 0.1
    np.testing.assert_allclose(curves["one"].nll, curves["one"].nll[0])
    assert found["groups"].as_good_as_best == ("accuracy", "nll")
    assert found["one"].as_good_as_best == ()
    assert "groups predicts better than every other model" in found.found
    assert "No better than one by more than chance: again." in found.found
    assert "20 unseen users" in repr(found)
    row = found.to_dict()["models"][2]
    assert row["unseen_users"]["shots"] == [0, 2, 5, 10, 20]
    assert "unseen_nll_20" in found.to_frame().column_names
    few = pl.evaluation.compare(models, train, test.take(test.user < 60), n_bootstrap=10)
    assert few["one"].few_shot is None


def test_fitted_models_are_compared_as_they_are(models, parts):
    train, test, support = parts
    again = {name: model.fit(train) for name, model in models.items()}
    found = pl.compare(again, train, test, support=support, n_bootstrap=20, refit=False)
    assert all(found.models[name] is again[name] for name in again)
    expected = pl.compare(models, train, test, support=support, n_bootstrap=20)
    assert [row.evaluation.nll for row in found.rows] == [row.evaluation.nll for row in expected.rows]
    assert np.isnan(found.rows[0].fit_seconds)
    assert found.to_dict()["models"][0]["fit_seconds"] is None
