"""Memberships of other models, sources without weight, prompts in checkpoints, circles in ensembles: told apart."""

import numpy as np
import pytest

import pluralism as pl
from pluralism.calibration import CDFCalibrator
from pluralism.data import Comparisons, Items, Ratings
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import UsageError
from pluralism.models import (
    BradleyTerry,
    CollaborativeReward,
    HierarchicalBradleyTerry,
    LowRankReward,
    MultiSource,
    PromptIdealPoint,
    RewardEnsemble,
    load,
)
from pluralism.reports import build_report

FIXED = {"ridge": 1.0, "item_effects": False, "blocks": "row"}


@pytest.fixture(scope="module")
def data():
    return simulate_mixture(n_users=24, n_groups=2, n_items=30, dim=4, pairs_per_user=16, scale=3.0, rng=0).comparisons


def with_columns(data, **columns):
    return Comparisons(**{**vars(data), **columns})


def test_a_checkpoint_is_not_taken_for_that_of_other_prompts(data, tmp_path):
    rng = np.random.default_rng(0)
    ids, features = data.items.ids, data.items.features
    prompts = [f"prompt {k % 4}" for k in range(len(ids))]
    data = data.take(data.left % 4 == data.right % 4)
    items = Items(ids=ids, texts=ids, prompts=prompts).with_features(np.asarray(features), "s")
    settings = {"n_prototypes": 2, "ridge": 1.0, "concentration": 1.0, "latent_dim": 2, "rng": 0}
    maps = []
    for _ in range(2):
        asked = data.with_items(items.with_prompt_features(rng.normal(size=(4, 3))))
        kept = PromptIdealPoint(**settings).fit(asked, checkpoint=tmp_path).predict_proba(asked)
        np.testing.assert_array_equal(kept, PromptIdealPoint(**settings).fit(asked).predict_proba(asked))
        maps.append(kept)
    assert np.abs(maps[0] - maps[1]).max() > 1e-3


def test_a_source_without_weight_stops_nothing(data):
    source = (np.arange(len(data)) % 3).astype(np.int32)
    weight = np.where(source == 2, 0.0, 1.0)
    three = with_columns(data, source=source, sources=["a", "b", "c"], weight=weight)
    two = three.take(source < 2)
    for weights in ("min_norm", "min_norm_normalised"):
        model = MultiSource(weights=weights, drift=None, ridge=1.0, item_effects=False).fit(three)
        expected = MultiSource(weights=weights, drift=None, ridge=1.0, item_effects=False).fit(two)
        np.testing.assert_allclose(model.predict_proba(two), expected.predict_proba(two), atol=1e-6)
        assert np.abs(model.predict_proba(two) - 0.5).max() > 0.2


def test_the_published_training_takes_features_alone(data):
    with pytest.raises(UsageError, match="features alone"):
        MultiSource(weights="min_norm_normalised", published=True, drift=None, ridge=1.0, item_effects=1.0).fit(data)


def test_an_ensemble_cannot_hold_circles():
    with pytest.raises(UsageError, match="circles"):
        data = Comparisons.from_arrays(["a", "b", "c"], ["b", "c", "a"])
        RewardEnsemble(base="general", n_members=2).fit(data)


@pytest.mark.filterwarnings("ignore::pluralism.errors.DataWarning")
def test_filters_with_a_person_of_no_weight_can_be_loaded(data, tmp_path):
    weight = np.where(data.user == 3, 0.0, 1.0)
    model = CollaborativeReward(ridge=1.0, item_effects=False).fit(with_columns(data, weight=weight))
    model.save(tmp_path)
    assert len(load(tmp_path).rejection_.users) == data.n_users - 1


def test_memberships_of_other_factors_are_refused(data):
    one = HierarchicalBradleyTerry(rank=1, loading_precision=1.0, **FIXED).fit(data)
    two = HierarchicalBradleyTerry(rank=2, loading_precision=1.0, **FIXED).fit(data)
    for model, other in ((one, two), (two, one)):
        with pytest.raises(UsageError, match="factors"):
            model.predict_proba(data, membership=other.membership())


def test_one_prototype_can_be_compared_and_reported(data):
    models = {"bt": BradleyTerry(ridge=1.0, item_effects=False), "lore": LowRankReward(rank=1, ridge=1.0)}
    odd = np.arange(len(data)) % 2 == 1
    assert pl.compare(models, data.take(~odd), data.take(odd), n_bootstrap=10)["lore"].control is None
    mixed = LowRankReward(rank=2, ridge=1.0, concentration=1.0).fit(data)
    assert "A reward for each of 24 people" in build_report(mixed, data, n_bootstrap=10).to_html()


def test_a_vote_without_weight_does_not_move_the_threshold():
    frame = {"user": ["a"] * 5, "item": list("vwxyz"), "value": [1, 2, 3, 4, 100], "weight": [1, 1, 1, 1, 0]}
    np.testing.assert_array_equal(Ratings.from_frame(frame).to_votes().outcome[:4], [0, 0, 1, 1])


def test_rows_of_unknown_references_are_refused():
    calibrator = CDFCalibrator().fit(np.random.default_rng(0).normal(size=(2, 9, 1)))
    with pytest.raises(UsageError, match="from -1"):
        calibrator.transform(np.zeros((1, 3, 1)), prompt=np.array([-5]))
