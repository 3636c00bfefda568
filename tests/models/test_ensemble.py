import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, logit
from sklearn.base import clone

import pluralism
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, DataWarning, ModelFileError, NotFittedError, UsageError
from pluralism.models import (
    BayesianMixture,
    BradleyTerry,
    MixtureBradleyTerry,
    MultiSource,
    OrdinalBradleyTerry,
    PlackettLuce,
    RewardEnsemble,
)
from pluralism.models.members import own_weights, resampled, stack_spaces
from pluralism.testing import check_preference_model, checks

BASE = BradleyTerry(ridge=1.0, item_effects=False, uncertainty=False)
SKIPPED = {"two_clear_groups_are_told_apart", "the_objective_never_goes_uphill", "uncertainty_shrinks_with_data"}


@pytest.fixture(scope="module")
def data() -> Comparisons:
    made = simulate_mixture(n_users=60, n_groups=1, n_items=80, dim=6, pairs_per_user=15, n_prompts=8, rng=3)
    return made.comparisons


def test_battery():
    results = check_preference_model(RewardEnsemble(base=BASE, n_members=3))
    assert len(results) == len(checks())
    assert [result for result in results if result.status == "failed"] == []
    assert {result.name for result in results if result.status == "skipped"} == SKIPPED


@pytest.mark.parametrize("aggregate", ["median", "min", "mean_minus_sd"])
def test_battery_of_aggregates_that_are_not_linear(aggregate):
    """Their rewards depend on what the members are anchored by, so items elsewhere move them a little."""
    results = check_preference_model(RewardEnsemble(base=BASE, n_members=3, aggregate=aggregate))
    failed = {result.name for result in results if result.status == "failed"}
    assert failed <= {"an_unrelated_part_leaves_other_contrasts_alone"}
    assert {result.name for result in results if result.status == "skipped"} == SKIPPED


def test_anchoring_and_aggregates_are_their_definitions(data):
    ensemble = RewardEnsemble(base=BASE, n_members=4).fit(data)
    played = np.unique(np.concatenate([data.left, data.right]))
    prompts = np.array(data.items.prompts.to_pylist())
    z, spreads = [], []
    for member in ensemble.members_:
        r = member.reward(data.items)[:, 0]
        means = {p: r[played][prompts[played] == p].mean() for p in set(prompts[played])}
        centred = r - np.array([means[p] for p in prompts])
        spreads.append(np.sqrt((centred[played] ** 2).sum() / (len(played) - len(means))))
        z.append(centred / spreads[-1])
    z = np.array(z) * np.mean(spreads)
    np.testing.assert_allclose(ensemble.member_rewards(data.items), z, atol=1e-9)
    np.testing.assert_allclose(ensemble.disagreement(data.items), z.std(axis=0, ddof=1), atol=1e-9)
    expected = {
        "mean": z.mean(axis=0),
        "median": np.median(z, axis=0),
        "min": z.min(axis=0),
        "mean_minus_sd": z.mean(axis=0) - 0.5 * z.std(axis=0, ddof=1),
    }
    for aggregate, reward in expected.items():
        other = RewardEnsemble.of(ensemble.members_, data.items.take(played), aggregate=aggregate, k=0.5)
        np.testing.assert_allclose(other.reward(data.items)[:, 0], reward, atol=1e-9)
        p = expit(reward[data.left] - reward[data.right])
        np.testing.assert_allclose(other.predict_proba(data), p, atol=1e-9)


def test_one_member_is_the_base_model(data):
    ensemble = RewardEnsemble(base=BASE, n_members=1, resample=None).fit(data)
    plain = BradleyTerry(ridge=1.0, item_effects=False).fit(data)
    np.testing.assert_allclose(ensemble.predict_proba(data), plain.predict_proba(data), atol=1e-9)
    np.testing.assert_array_equal(ensemble.disagreement(data.items), 0)
    assert ensemble.members_[0].objective_ == pytest.approx(plain.objective_)


def test_members_of_different_seeds_alone_are_one_and_the_same(data):
    with pytest.warns(DataWarning, match="All members are the same"):
        ensemble = RewardEnsemble(base=BASE, n_members=3, resample=None, aggregate="min").fit(data)
    plain = BradleyTerry(ridge=1.0, item_effects=False).fit(data)
    np.testing.assert_allclose(ensemble.predict_proba(data), plain.predict_proba(data), atol=1e-9)


@pytest.mark.filterwarnings("ignore::pluralism.errors.ComponentWarning")
@pytest.mark.parametrize("aggregate", ["mean", "median", "min", "mean_minus_sd"])
def test_zeros_of_prompts_and_scales_of_members_do_not_matter(aggregate):
    """A Bradley-Terry reward is known up to a constant for each prompt: any other constant is as good."""
    items = Items.from_texts([f"t{k}" for k in range(24)], prompts=[f"p{k % 4}" for k in range(24)])
    rng = np.random.default_rng(0)
    left = rng.integers(0, 24, 400)
    right = (left + 4 * rng.integers(1, 6, 400)) % 24
    outcome = (rng.random(400) < expit(0.2 * (left - right))).astype(float)
    data = Comparisons.from_arrays(left, right, user=rng.integers(0, 20, 400), outcome=outcome, items=items)
    members = [BradleyTerry(ridge=1.0).fit(resampled(data, "user", str(k))) for k in range(3)]
    one = RewardEnsemble.of(members, items, aggregate=aggregate)
    moved = [BradleyTerry(ridge=1.0).fit(resampled(data, "user", str(k))) for k in range(3)]
    moved[1].item_effects_ = 3.0 * (moved[1].item_effects_ + rng.normal(size=4)[np.arange(24) % 4])
    two = RewardEnsemble.of(moved, items, aggregate=aggregate)
    np.testing.assert_allclose(two.reward(items) / two.scale_, one.reward(items) / one.scale_, atol=1e-9)


def test_prompts_never_seen_are_anchored_at_the_mean_of_all(data):
    ensemble = RewardEnsemble(base=BASE, n_members=2).fit(data)
    other = Items.from_texts(["new"], prompts=["never seen"]).with_features(
        np.asarray(data.items.features)[:1], data.items.feature_space
    )
    member = [m.reward(other)[0, 0] for m in ensemble.members_]
    expected = ensemble.scale_ * (np.array(member) - ensemble.centre_) / ensemble.spread_
    np.testing.assert_allclose(ensemble.member_rewards(other)[:, 0], expected)


def test_own_weights_are_exponential_and_belong_to_their_label():
    labels = [f"user {k}" for k in range(20_000)]
    w = own_weights(labels, "0/1")
    assert w.mean() == pytest.approx(1, abs=0.03)
    assert w.var() == pytest.approx(1, abs=0.08)
    np.testing.assert_array_equal(own_weights(labels[::-1], "0/1")[::-1], w)
    assert abs(np.corrcoef(w, own_weights(labels, "0/2"))[0, 1]) < 0.03


def test_resampling_weighs_people_or_prompts_whole(data):
    drawn = resampled(data, "user", "x")
    assert drawn.weight.sum() == pytest.approx(data.weight.sum())
    for user in range(5):
        assert np.ptp(drawn.weight[data.user == user]) == pytest.approx(0)
    by_prompt = resampled(data, "prompt", "x").weight
    prompts = np.array(data.items.prompts.to_pylist())
    for prompt in set(prompts):
        assert np.ptp(by_prompt[prompts[data.left] == prompt]) == pytest.approx(0)
    np.testing.assert_allclose(resampled(data.swapped(), "prompt", "x").weight, by_prompt)
    with pytest.raises(UsageError, match="needs prompts"):
        resampled(data._replace(items=data.items._replace(prompts=None)), "prompt", "x")


def test_disagreement_is_the_spread_over_samples_of_people():
    """Bootstrap spread of contrasts against that of models fitted to fresh samples of people."""
    full = simulate_mixture(n_users=2400, n_groups=1, n_items=40, dim=4, pairs_per_user=10, rng=9).comparisons
    loose = BradleyTerry(ridge=1e-3, item_effects=False, uncertainty=False)
    groups = np.array_split(np.random.default_rng(0).permutation(2400), 30)
    fits = [clone(loose).fit(full.take(np.isin(full.user, g))) for g in groups]
    rewards = np.stack([fit.reward(full.items)[:, 0] for fit in fits])
    truth = (rewards[:, :20] - rewards[:, 20:]).std(axis=0, ddof=1)
    found = []
    for g in groups[:5]:
        part = full.take(np.isin(full.user, g))
        members = [clone(loose).fit(resampled(part, "user", str(k))) for k in range(20)]
        r = np.stack([m.reward(full.items)[:, 0] for m in members])
        found.append((r[:, :20] - r[:, 20:]).std(axis=0, ddof=1))
    assert np.mean(found) / np.mean(truth) == pytest.approx(1, abs=0.25)


def two_views(seed: int) -> Comparisons:
    """Comparisons whose reward two encoders see half each, and with noise of their own."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(200, 6))
    reward = 1.2 * signal.sum(axis=1)
    features = signal + 0.3 * rng.normal(size=(200, 6))
    left, right = rng.integers(0, 200, 3000), rng.integers(0, 200, 3000)
    keep = left != right
    left, right = left[keep], right[keep]
    outcome = (rng.random(len(left)) < expit(reward[left] - reward[right])).astype(float)
    items = Items.from_texts([str(k) for k in range(200)]).with_features(features, "a + b")
    return Comparisons.from_arrays(left, right, user=rng.integers(0, 50, len(left)), outcome=outcome, items=items)


def test_members_of_different_encoders_err_apart_and_together_do_better():
    gains, correlations = [], []
    for seed in range(5):
        train, test = two_views(seed).split(test=0.3, by="pair", rng=0)
        diverse = RewardEnsemble(base=BASE, n_members=2, feature_blocks=(3, 3), resample=None).fit(train).report(test)
        alike = RewardEnsemble(base=BASE, n_members=2).fit(train).report(test)
        gains.append(diverse.ensemble_accuracy - diverse.accuracy.max())
        correlations.append((diverse.mean_error_correlation, alike.mean_error_correlation))
        assert diverse.shared_failure < 0.6 * alike.shared_failure
    assert np.mean(gains) > 0.03
    assert all(one < 0.5 < 0.8 < two for one, two in correlations)


def test_feature_shares_and_blocks(data):
    ensemble = RewardEnsemble(base=BASE, n_members=4, feature_blocks=(4, 2), feature_share=0.5, resample=None).fit(data)
    sizes = [len(columns) for columns in ensemble.columns_]
    assert sizes == [2, 1, 2, 1]
    assert all((columns < 4).all() for columns in ensemble.columns_[::2])
    assert all((columns >= 4).all() for columns in ensemble.columns_[1::2])
    features = np.asarray(data.items.features)
    for member, columns in zip(ensemble.members_, ensemble.columns_, strict=True):
        np.testing.assert_allclose(
            member.coef_[0] @ features[5, columns], member.reward(with_seen(data.items, member, columns))[5, 0]
        )


def with_seen(items, member, columns):
    features = np.ascontiguousarray(items.features[:, columns])
    return items._replace(features=features, feature_space=member.feature_space_)


def test_models_fitted_apart_on_two_encoders_become_one_ensemble(tmp_path):
    both = two_views(1)
    features = np.asarray(both.items.features)
    one, two = both.with_features(features[:, :3].copy(), "a"), both.with_features(features[:, 3:].copy(), "b")
    members = [BradleyTerry(ridge=1.0, item_effects=False).fit(part) for part in (one, two)]
    items = stack_spaces(both.items, {"a": features[:, :3], "b": features[:, 3:]})
    assert items.feature_space == "a + b"
    ensemble = RewardEnsemble.of(members, items)
    z = ensemble.member_rewards(items)
    for k, part in enumerate((one, two)):
        assert np.corrcoef(z[k], members[k].reward(part.items)[:, 0])[0, 1] == pytest.approx(1)
    assert len(ensemble.users_) == 50
    ensemble.save(tmp_path)
    np.testing.assert_array_equal(pluralism.load(tmp_path).predict_proba(both), ensemble.predict_proba(both))
    with pytest.raises(DataError, match="stack_spaces"):
        RewardEnsemble.of(members, one.items)


def test_report_against_counting(data):
    train, test = data.split(test=0.4, by="pair", rng=0)
    ensemble = RewardEnsemble(base=BASE, n_members=3, feature_share=0.5).fit(train)
    report = ensemble.report(test)
    z = ensemble.member_rewards(test.items)
    wrong = (z[:, test.left] - z[:, test.right] > 0) != (test.outcome > 0.5)
    np.testing.assert_allclose(report.accuracy, 1 - wrong.mean(axis=1))
    np.testing.assert_allclose(report.error_correlation, np.corrcoef(wrong), atol=1e-9)
    assert report.shared_failure == pytest.approx(wrong.all(axis=0).mean())
    assert report.independent_failure == pytest.approx(wrong.mean(axis=1).prod())
    p = ensemble.predict_proba(test)
    assert report.ensemble_accuracy == pytest.approx(((p > 0.5) == (test.outcome > 0.5)).mean())
    assert report.mean_error_correlation == pytest.approx(np.corrcoef(wrong)[np.triu_indices(3, 1)].mean())
    assert json.loads(report.to_json())["n"] == report.n == len(test)
    assert report.to_frame().num_rows == 3
    assert "all members wrong" in repr(report)
    ties = test._replace(outcome=np.full(len(test), 0.5))
    with pytest.raises(DataError, match="decided"):
        ensemble.report(ties)


def test_covariates_of_members_reach_the_predictions(data):
    base = BradleyTerry(ridge=1.0, item_effects=False, position_bias=True, covariates=("length",), uncertainty=False)
    biased = data._replace(outcome=np.maximum(data.outcome, (np.arange(len(data)) % 3 == 0).astype(float)))
    one = RewardEnsemble(base=base, n_members=1, resample=None).fit(biased)
    np.testing.assert_allclose(one.predict_proba(biased), base.fit(biased).predict_proba(biased), atol=1e-9)
    assert one.predict_proba(biased).mean() > 0.55


@pytest.mark.parametrize("aggregate", ["mean", "median", "min", "mean_minus_sd"])
@pytest.mark.parametrize(
    "base",
    [
        OrdinalBradleyTerry(ridge=1.0, item_effects=False),
        OrdinalBradleyTerry(ridge=1.0, item_effects=False, position_bias=True, ties="davidson"),
        BradleyTerry(ridge=1.0, item_effects=3.0, ties="davidson", covariates=("length",)),
        BayesianMixture(n_groups=1, ridge=1.0, item_effects=False, position_bias=True),
        MultiSource(ridge=1.0, item_effects=False),
        PlackettLuce(n_groups=1, ridge=1.0),
    ],
    ids=repr,
)
def test_an_ensemble_of_one_is_its_member(data, base, aggregate):
    tied = data._replace(outcome=np.where(np.arange(len(data)) % 4 == 0, 0.5, data.outcome))
    one = RewardEnsemble(base=base, n_members=1, resample=None, aggregate=aggregate).fit(tied)
    expected = clone(base).fit(tied).predict_proba(tied)
    np.testing.assert_allclose(one.predict_proba(tied), expected, atol=1e-9)
    assert one.report(tied).nll[0] == pytest.approx(one.report(tied).ensemble_nll)


def test_logits_are_averaged_over_members_of_which_some_have_a_covariate(data):
    """The mean ensemble's logit is the mean of its members', each as its own covariates have it, at one scale."""
    biased = data._replace(outcome=np.maximum(data.outcome, (np.arange(len(data)) % 3 == 0).astype(float)))
    settings = {"ridge": 1.0, "item_effects": False, "uncertainty": False}
    members = [
        BradleyTerry(**settings, position_bias=True, covariates=("length",)).fit(biased),
        BradleyTerry(**settings).fit(biased),
    ]
    ensemble = RewardEnsemble.of(members, data.items)
    own = np.stack([logit(member.predict_proba(biased)) for member in members])
    expected = (ensemble.scale_ / ensemble.spread_) @ own / 2
    np.testing.assert_allclose(logit(ensemble.predict_proba(biased)), expected, atol=1e-9)
    # a common scale changes nobody's choices
    right = [np.mean((z > 0) == (biased.outcome > 0.5)) for z in own]
    np.testing.assert_allclose(ensemble.report(biased).accuracy, right)


def test_saved_ensembles_come_back_and_damaged_ones_do_not(data, tmp_path):
    ensemble = RewardEnsemble(base=BASE, n_members=3, feature_share=0.5, aggregate="min").fit(data)
    ensemble.save(tmp_path)
    loaded = pluralism.load(tmp_path)
    assert isinstance(loaded.base, BradleyTerry)
    assert loaded.base.get_params() == BASE.get_params()
    np.testing.assert_array_equal(loaded.reward(data.items), ensemble.reward(data.items))
    assert loaded.report(data).to_dict()["nll"].tolist() == ensemble.report(data).nll.tolist()
    document = json.loads((tmp_path / "model.json").read_text())
    document["state"]["members"].pop()
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match="number of members"):
        pluralism.load(tmp_path)


def test_a_recipe_is_a_base_and_interrupted_fits_go_on(data, tmp_path):
    few = data.take(data.user < 12)
    told = []
    one = RewardEnsemble(n_members=2).fit(few, checkpoint=tmp_path, callback=lambda piece, *rest: told.append(piece))
    assert any(piece.startswith("member 1/") for piece in told)
    two = RewardEnsemble(n_members=2).fit(few, checkpoint=tmp_path)
    np.testing.assert_array_equal(one.predict_proba(few), two.predict_proba(few))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_members", 0),
        ("base", 3),
        ("resample", "row"),
        ("aggregate", "product"),
        ("k", -1.0),
        ("feature_share", 0.0),
        ("feature_blocks", ()),
        ("feature_blocks", (3, 9)),
    ],
)
def test_settings_that_cannot_work_are_named(data, setting, value):
    with pytest.raises(UsageError, match=setting):
        RewardEnsemble(**({"base": BASE} | {setting: value})).fit(data)


def test_members_that_cannot_be_put_together(data):
    with pytest.raises(UsageError, match="same people"):
        RewardEnsemble(base=MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False), n_members=1).fit(data)
    with pytest.raises(NotFittedError):
        RewardEnsemble.of([BASE], data.items)
    bare = data.with_items(Items(ids=data.items.ids))
    with pytest.raises(DataError, match="share out"):
        RewardEnsemble(base=BASE, feature_share=0.5).fit(bare)
    with pytest.raises(NotFittedError):
        RewardEnsemble().disagreement(data.items)
    assert pa.types.is_large_string(RewardEnsemble(base=BASE, n_members=1).fit(data).anchor_prompts_.type)
