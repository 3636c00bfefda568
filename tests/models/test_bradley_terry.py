import warnings

import numpy as np
import pytest
from scipy.special import expit

from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import (
    ComponentWarning,
    DataError,
    NotFittedError,
    SeparationError,
    SeparationWarning,
    UsageError,
)
from pluralism.models import BradleyTerry

ITEM_ONLY = {"item_effects": True}


def pairs(rows, **columns):
    left, right, outcome = zip(*rows, strict=True)
    return Comparisons.from_arrays(list(left), list(right), outcome=list(outcome), **columns)


def test_two_items_have_the_closed_form():
    rows = [("a", "b", 1.0)] * 3 + [("a", "b", 0.0)]
    model = BradleyTerry(ridge=1e-8).fit(pairs(rows, user=["u"] * 4))
    assert model.predict_proba(pairs([("a", "b", 1.0)], user=["u"]))[0] == pytest.approx(0.75, abs=1e-5)
    assert model.predict_proba(pairs([("b", "a", 1.0)], user=["u"]))[0] == pytest.approx(0.25, abs=1e-5)


def test_a_circle_of_wins_gives_equal_strengths():
    rows = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0)]
    model = BradleyTerry(ridge=0).fit(pairs(rows, user=["u"] * 3))
    np.testing.assert_allclose(model.item_effects_, 0.0, atol=1e-6)


@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_davidson_and_half_ties(ties):
    rows = [("a", "b", 1.0)] * 4 + [("a", "b", 0.0)] * 2 + [("a", "b", 0.5)] * 4
    model = BradleyTerry(ridge=1e-8, ties=ties).fit(pairs(rows, user=["u"] * 10))
    probe = pairs([("a", "b", 1.0)], user=["u"])
    if ties == "davidson":
        # the likelihood fits the three frequencies; the weak prior on the tie parameter moves them a bit
        assert model.predict_proba(probe)[0] == pytest.approx(4 / 6, abs=0.01)
        assert model.predict_tie_proba(probe)[0] == pytest.approx(0.4, abs=0.02)
    else:
        assert model.predict_proba(probe)[0] == pytest.approx(0.6, abs=1e-4)
        with pytest.raises(UsageError, match="davidson"):
            model.predict_tie_proba(probe)


def test_ridge_is_chosen_in_blocks_and_predicts_unseen_prompts():
    sim = simulate_mixture(n_users=60, n_groups=1, n_items=200, dim=64, pairs_per_user=20, n_prompts=50, rng=1)
    train, test = sim.comparisons.split(test=0.3, by="prompt", rng=0)
    chosen = BradleyTerry(item_effects=False).fit(train)
    assert chosen.blocks_ == "prompt"
    assert len(chosen.ridge_path_) >= 4
    best = min(chosen.ridge_path_, key=lambda row: row[1])
    assert chosen.ridge_ == pytest.approx(best[0])

    def nll(model):
        p = model.predict_proba(test)
        return -np.mean(np.where(test.outcome == 1, np.log(p), np.log(1 - p)))

    weak = BradleyTerry(ridge=chosen.ridge_ / 1000, item_effects=False).fit(train)
    strong = BradleyTerry(ridge=chosen.ridge_ * 1000, item_effects=False).fit(train)
    assert nll(chosen) < nll(weak)
    assert nll(chosen) < nll(strong)


def test_votes_are_held_out_for_pairs_that_were_made_from_them():
    from pluralism.data import Items, Ratings

    rng = np.random.default_rng(3)
    items = Items(ids=[f"i{j}" for j in range(40)], features=rng.normal(size=(40, 5)), feature_space="test")
    user, item = np.repeat(np.arange(30), 8), np.concatenate([rng.permutation(40)[:8] for _ in range(30)])
    value = items.features[item, 0] + rng.normal(size=len(item))
    ratings = Ratings(items, [f"u{j}" for j in range(30)], user, item, value)
    model = BradleyTerry(item_effects=False).fit(ratings.to_comparisons())
    assert model.blocks_ == "vote"


def test_item_effects_and_text_share_the_work():
    sim = simulate_mixture(
        n_users=100, n_groups=1, n_items=120, dim=8, pairs_per_user=60, item_effects=1.0, scale=2.0, rng=2
    )
    train, test = sim.comparisons.split(test=0.2, by="row", rng=0)
    accuracy = {}
    for effects in (False, "auto"):
        model = BradleyTerry(item_effects=effects).fit(train)
        accuracy[effects] = np.mean((model.predict_proba(test) > 0.5) == (test.outcome > 0.5))
    assert model.item_precision_ is not None
    assert accuracy["auto"] > accuracy[False] + 0.02
    # the reward of an item that the fit has not seen is what its text predicts
    unseen = simulate_mixture(n_users=2, n_groups=1, n_items=5, dim=8, rng=9).comparisons.items
    unseen = type(unseen)(ids=[f"new-{i}" for i in range(5)], features=unseen.features, feature_space="simulated")
    np.testing.assert_allclose(model.reward(unseen), unseen.features @ model.coef_.T, rtol=1e-6)


def test_covariates_and_position_are_reported_in_their_own_units():
    rng = np.random.default_rng([4, 4])
    n = 6000
    left, right = rng.integers(30, size=n), rng.integers(30, size=n)
    keep = left != right
    left, right = left[keep], right[keep]
    length = rng.normal(size=(2, len(left))) * 50
    outcome = (rng.random(len(left)) < expit(0.02 * (length[0] - length[1]) + 0.4)).astype(float)
    data = Comparisons.from_arrays(
        [f"i{c}" for c in left],
        [f"i{c}" for c in right],
        user=["u"] * len(left),
        outcome=outcome,
        covariates={"size": (length[0], length[1])},
    )
    model = BradleyTerry(covariates=("size",), position_bias=True).fit(data)
    assert model.covariate_names_ == ["size", "position"]
    np.testing.assert_allclose(model.covariate_effects_[0], [0.02, 0.4], atol=0.06)
    assert model.covariate_effects_[0, 0] == pytest.approx(0.02, rel=0.1)
    mirrored = model.predict_proba(data) + model.predict_proba(data.swapped())
    assert not np.allclose(mirrored, 1.0)


def test_intervals_cover_the_truth():
    inside = total = 0
    for seed in range(20):
        sim = simulate_mixture(n_users=50, n_groups=1, n_items=60, dim=4, pairs_per_user=20, scale=1.5, rng=seed)
        model = BradleyTerry(ridge=1e-3, item_effects=False).fit(sim.comparisons)
        items = sim.comparisons.items
        # heads are identified; rewards of the model are features times heads, as the truth's are
        error = (model.reward(items) - items.features @ sim.truth.heads.T)[:, 0] / model.reward_std(items)[:, 0]
        inside += int(np.sum(np.abs(error[:4]) < 1.96))
        total += 4
    # four items a data set move together at most like one: bounds for 20 independent draws at 95 %
    assert 0.80 <= inside / total <= 1.0


def test_more_data_shrinks_the_standard_deviation():
    sizes = [10, 40, 160]
    spread = []
    for n in sizes:
        sim = simulate_mixture(n_users=n, n_groups=1, n_items=60, dim=4, pairs_per_user=20, rng=5)
        model = BradleyTerry(ridge=1.0, item_effects=False).fit(sim.comparisons)
        spread.append(model.reward_std(sim.comparisons.items).mean())
    assert spread[0] > spread[1] > spread[2]


def test_undefeated_items_are_finite_and_flagged_or_refused_without_a_prior():
    rows = [("a", "b", 1.0), ("b", "c", 1.0), ("a", "c", 1.0)]
    data = pairs(rows, user=["u"] * 3)
    with pytest.warns(SeparationWarning, match="never lost"):
        model = BradleyTerry(ridge=1.0).fit(data)
    assert np.isfinite(model.item_effects_).all()
    assert model.separable_
    with pytest.raises(SeparationError, match="not connected by wins"):
        BradleyTerry(ridge=0).fit(data)


def test_separating_direction_is_refused_without_a_prior_and_flagged_with_one():
    sim = simulate_mixture(n_users=5, n_groups=1, n_items=20, dim=2, pairs_per_user=6, scale=1e6, rng=6)
    with pytest.raises(SeparationError, match="direction"):
        BradleyTerry(ridge=0, item_effects=False).fit(sim.comparisons)
    with pytest.warns(SeparationWarning, match="separable"):
        model = BradleyTerry(ridge=1e-3, item_effects=False).fit(sim.comparisons)
    assert np.isfinite(model.coef_).all()


def test_parts_without_a_comparison_between_them_are_flagged():
    rows = [("a", "b", 1.0), ("b", "a", 1.0), ("c", "d", 1.0), ("d", "c", 1.0)]
    with pytest.warns(ComponentWarning, match="2 parts"):
        model = BradleyTerry(ridge=1.0).fit(pairs(rows, user=["u"] * 4))
    assert model.n_components_ == 2


def test_an_unrelated_part_leaves_contrasts_alone():
    rows = [("a", "b", 1.0)] * 3 + [("b", "a", 1.0)]
    more = rows + [("x", "y", 1.0)] * 5 + [("y", "x", 1.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = BradleyTerry(ridge=0.5, tol=1e-13).fit(pairs(rows, user=["u"] * 4))
        both = BradleyTerry(ridge=0.5, tol=1e-13).fit(pairs(more, user=["u"] * 10))
    probe = pairs([("a", "b", 1.0)], user=["u"])
    assert alone.predict_proba(probe)[0] == pytest.approx(both.predict_proba(probe)[0], abs=1e-6)


def test_the_iteration_cap_is_reported(four_groups):
    from pluralism.errors import ConvergenceWarning

    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = BradleyTerry(ridge=1e-3, item_effects=False, max_iter=1).fit(four_groups.comparisons)
    assert model.converged_ is False
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ridge", -1.0),
        ("ridge", "strong"),
        ("ridge", float("nan")),
        ("item_effects", "sometimes"),
        ("covariates", "length"),
        ("ties", "thirds"),
        ("tol", 0.0),
        ("max_iter", 0),
    ],
)
def test_settings_that_cannot_work_are_named(setting, value):
    with pytest.raises(UsageError, match=setting):
        BradleyTerry(**{setting: value}).fit(pairs([("a", "b", 1.0)], user=["u"]))


def test_unfitted_models_say_so():
    with pytest.raises(NotFittedError, match="fit"):
        BradleyTerry().membership()


def test_no_rows_of_positive_weight_are_refused():
    with pytest.raises(DataError, match="positive weight"):
        BradleyTerry().fit(pairs([("a", "b", 1.0)], user=["u"], weight=[0.0]))


def test_features_of_another_space_are_refused(four_groups):
    data = four_groups.comparisons
    model = BradleyTerry(ridge=1.0, item_effects=False).fit(data)
    with pytest.raises(DataError, match="space"):
        model.reward(data.items.with_features(data.items.features, "another"))
    with pytest.raises(DataError, match="dimensions"):
        model.reward(data.items.with_features(data.items.features[:, :5].copy(), "simulated"))


@pytest.mark.parametrize("ties", ["half", "davidson"])
@pytest.mark.parametrize("outcome", [0.5, 1.0])
def test_only_ties_and_no_ties_are_fitted(ties, outcome):
    rows = [("a", "b", outcome), ("b", "c", outcome), ("c", "a", outcome)] * 5
    data = pairs(rows, user=["u"] * 15)
    model = BradleyTerry(ridge=1.0, ties=ties).fit(data)
    np.testing.assert_allclose(model.predict_proba(data), 0.5, atol=1e-4)
    if ties == "davidson":
        tie = model.predict_tie_proba(data)
        assert np.all(tie > 0.9) if outcome == 0.5 else np.all(tie < 0.1)


def test_features_can_be_left_out():
    data = simulate_mixture(n_users=30, n_groups=1, n_items=30, dim=4, rng=3).comparisons
    bare = data.with_items(data.items.without_features())
    model = BradleyTerry(use_features=False, ridge=1.0).fit(data)
    assert model.coef_ is None
    expected = BradleyTerry(ridge=1.0).fit(bare)
    np.testing.assert_array_equal(model.predict_proba(data), expected.predict_proba(bare))
    np.testing.assert_array_equal(model.adapt(data).n, expected.adapt(bare).n)
