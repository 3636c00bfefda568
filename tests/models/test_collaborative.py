import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

import pluralism
from pluralism.calibration import accuracy, log_loss
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, DataWarning, ModelFileError, UsageError
from pluralism.models import BradleyTerry, CollaborativeReward
from pluralism.models.collaborative import excess_loss, keep_low
from pluralism.models.rejection import RejectionReport, audit
from pluralism.testing import check_preference_model, checks
from pluralism.testing.case import replaced

FIXED = {"ridge": 1.0, "item_effects": False, "uncertainty": False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "within", "failed"),
    [
        ("peer", "all", set()),
        ("corrected", "all", set()),
        ("peer", "user", set()),
        # judgements are ranked together, so what people elsewhere say moves the cut
        ("self", "all", {"an_unrelated_part_leaves_other_contrasts_alone"}),
    ],
)
def test_battery(method, within, failed):
    model = CollaborativeReward(
        method=method, within=within, flip_rate=0.1, ridge=1.0, item_effects=False, blocks="pair"
    )
    results = check_preference_model(model)
    assert len(results) == len(checks())
    assert {result.name for result in results if result.status == "failed"} <= failed
    assert {result.name for result in results if result.status == "skipped"} == {
        "two_clear_groups_are_told_apart",
        "undefeated_items_are_finite_and_flagged",
        "disconnected_items_are_finite_and_flagged",
        "items_alone_can_be_fitted",
    }


def test_keeping_the_lowest_losses():
    loss = np.array([0.3, 0.1, 0.2, 0.4, 0.1])
    one = np.zeros(5, int)
    np.testing.assert_allclose(keep_low(loss, np.ones(5), 0.6, one), [0, 1, 1, 0, 1])
    np.testing.assert_allclose(keep_low(loss, np.ones(5), 0.3, one), [0, 0.75, 0, 0, 0.75])
    np.testing.assert_allclose(keep_low(loss, np.array([1.0, 2, 1, 1, 0]), 0.5, one), [0, 1, 0.5, 0, 1])
    blocks = np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(keep_low(loss, np.ones(5), 0.5, blocks), [0, 1, 0.5, 0, 1])
    for share in (0.0, 1.0):
        np.testing.assert_allclose(keep_low(loss, np.ones(5), share, blocks), share)


def test_kept_weight_is_the_share_of_every_block():
    rng = np.random.default_rng(0)
    loss, weight, block = rng.normal(size=500).round(1), rng.integers(0, 4, 500).astype(float), rng.integers(0, 9, 500)
    kept = keep_low(loss, weight, 0.37, block)
    for b in range(9):
        here = block == b
        assert kept[here] @ weight[here] == pytest.approx(0.37 * weight[here].sum())
        order = np.argsort(loss[here], kind="stable")
        assert (np.diff(kept[here][order]) <= 1e-12).all()


def test_excess_loss_of_what_is_predicted_is_nothing():
    y = np.array([0.0, 0.5, 0.7, 1.0])
    np.testing.assert_allclose(excess_loss(np.clip(y, 1e-9, 1 - 1e-9), y), 0, atol=1e-8)
    np.testing.assert_allclose(excess_loss(np.full(2, 0.2), np.array([1.0, 0.0])), [-np.log(0.2), -np.log(0.8)])


def flipped(seed: int, rate: float) -> tuple[Comparisons, Comparisons, np.ndarray]:
    sim = simulate_mixture(n_users=100, n_groups=1, n_items=300, dim=16, pairs_per_user=40, scale=3.0, rng=seed)
    train, test = sim.comparisons.split(test=0.3, by="pair", rng=seed)
    flips = np.random.default_rng([seed, 9]).random(len(train)) < rate
    return train._replace(outcome=np.where(flips, 1 - train.outcome, train.outcome)), test, flips


def test_without_flips_it_is_bradley_terry():
    noisy, test, _ = flipped(0, 0.2)
    plain = BradleyTerry(**FIXED).fit(noisy).predict_proba(test)
    for method in ("peer", "self", "corrected"):
        model = CollaborativeReward(flip_rate=0.0, method=method, **FIXED).fit(noisy)
        np.testing.assert_allclose(model.predict_proba(test), plain, atol=1e-9)
        assert model.rejection_.overall == 0


def test_the_corrected_likelihood_is_maximised():
    """EM against a general optimiser of the penalised likelihood with flips."""
    noisy, _, _ = flipped(1, 0.2)
    noisy = noisy.take(np.arange(600))
    features = np.asarray(noisy.items.features, dtype=float)
    x = features[noisy.left] - features[noisy.right]

    def objective(theta):
        p = expit(x @ theta)
        seen = 0.8 * np.where(noisy.outcome > 0.5, p, 1 - p) + 0.2 * np.where(noisy.outcome > 0.5, 1 - p, p)
        return -np.log(seen).sum() + 0.5 * theta @ theta

    model = CollaborativeReward(flip_rate=0.2, method="corrected", **FIXED).fit(noisy)
    start = BradleyTerry(**FIXED).fit(noisy).coef_[0]
    best = minimize(objective, start, method="BFGS", options={"gtol": 1e-8})
    assert objective(model.coef_[0]) == pytest.approx(best.fun, abs=0.01)
    np.testing.assert_allclose(model.coef_[0], best.x, atol=0.02)


def test_planted_flips_are_found_and_the_corrected_likelihood_predicts_best():
    table = {name: [] for name in ("all", "peer", "self", "corrected")}
    for seed in range(5):
        noisy, test, flips = flipped(seed, 0.2)
        p = BradleyTerry(**FIXED).fit(noisy).predict_proba(test)
        table["all"].append((accuracy(p, test.outcome), log_loss(p, test.outcome)))
        for method in ("peer", "self", "corrected"):
            model = CollaborativeReward(flip_rate=0.2, method=method, **FIXED).fit(noisy)
            p = model.predict_proba(test)
            table[method].append((accuracy(p, test.outcome), log_loss(p, test.outcome)))
            assert model.rejection_.overall == pytest.approx(0.2, abs=1e-6 if method != "corrected" else 0.04)
        heads_loss = excess_loss(model.predict_proba(noisy), noisy.outcome)
        assert heads_loss[flips].mean() > 3 * heads_loss[~flips].mean()
    mean = {name: np.mean(rows, axis=0) for name, rows in table.items()}
    # flips flatten a plain fit; filtering sharpens it again, and loses accuracy; the likelihood keeps both
    assert mean["corrected"][1] < min(mean["peer"][1], mean["self"][1]) < mean["all"][1] - 0.05
    assert mean["corrected"][0] >= mean["all"][0] - 0.003
    assert mean["peer"][0] < mean["all"][0]


def opposed(seed: int) -> Comparisons:
    """A fifth of the people want the opposite of what the others want, and nobody errs more than the others."""
    made = simulate_mixture(n_users=100, n_groups=1, n_items=200, dim=12, pairs_per_user=30, scale=3.0, rng=seed)
    data = made.comparisons
    few = data.user % 5 == 0
    return replaced(
        data,
        outcome=np.where(few, 1 - data.outcome, data.outcome),
        group=few.astype(np.int32),
        groups=["many", "few"],
    )


@pytest.mark.parametrize("method", ["self", "peer"])
def test_naive_selection_takes_the_minority_for_noise_and_the_report_says_so(method):
    for seed in range(5):
        with pytest.warns(DataWarning, match="a minority may be filtered out"):
            model = CollaborativeReward(flip_rate=0.2, method=method, **FIXED).fit(opposed(seed))
        minority, majority = sorted(model.rejection_.groups, key=lambda row: row.users)
        assert minority.rejected > 3 * majority.rejected
        assert minority.singled_out
        assert not majority.singled_out
        assert model.rejection_.groups[0] == minority
        assert model.rejection_.singled_out_groups == [minority.group]


def test_filtering_costs_the_minority_and_equal_shares_do_not_single_anybody_out(recwarn):
    worse = []
    for seed in range(5):
        train, test = opposed(seed).split(test=0.3, by="pair", rng=0)
        rows = test.group == 1
        scores = []
        for model in (BradleyTerry(**FIXED), CollaborativeReward(flip_rate=0.3, method="self", **FIXED)):
            p = model.fit(train).predict_proba(test)
            scores.append(log_loss(p[rows], test.outcome[rows]))
        worse.append(scores[1] - scores[0])
    assert min(worse) > 0
    recwarn.clear()
    for within in ("user", "group"):
        model = CollaborativeReward(flip_rate=0.2, within=within, **FIXED).fit(opposed(0))
        shares = [row.rejected for row in model.rejection_.groups]
        np.testing.assert_allclose(shares, 0.2, atol=1e-6)
        assert model.rejection_.singled_out_groups == []
    assert not [warning for warning in recwarn if "minority" in str(warning.message)]


def test_people_are_found_where_no_group_is_known():
    """Three people of fifty who want the opposite."""
    made = simulate_mixture(n_users=50, n_groups=1, n_items=120, dim=8, pairs_per_user=60, scale=4.0, rng=0).comparisons
    odd = np.isin(made.user, [3, 11, 40])
    data = made._replace(outcome=np.where(odd, 1 - made.outcome, made.outcome), group=None, groups=None)
    with pytest.warns(DataWarning, match="3 people"):
        model = CollaborativeReward(flip_rate=0.1, **FIXED).fit(data)
    labels = data.users.to_pylist()
    assert set(model.rejection_.singled_out_users) == {labels[k] for k in (3, 11, 40)}
    assert model.rejection_.groups == ()


def test_audit_against_counting():
    rng = np.random.default_rng(0)
    items = Items(ids=["a", "b"])
    n = 400
    group = rng.integers(0, 2, 20)
    user = rng.integers(0, 20, n)
    data = Comparisons.from_arrays(
        np.zeros(n, int),
        np.ones(n, int),
        user=user,
        weight=rng.uniform(0.5, 2, n),
        items=items,
        group=[["x", "y"][group[u]] for u in user],
    )
    lost = rng.random(n)
    report = audit(data, lost)
    assert report.overall == pytest.approx(np.average(lost, weights=data.weight))
    for row in report.groups:
        inside = np.array([["x", "y"][group[u]] == row.group for u in user])
        assert row.rejected == pytest.approx(np.average(lost[inside], weights=data.weight[inside]))
        assert row.rest == pytest.approx(np.average(lost[~inside], weights=data.weight[~inside]))
        assert row.n == inside.sum()
        assert row.users == len(set(user[inside]))
        assert abs(row.z) < 4
    for u, label in enumerate(data.users.to_pylist()):
        here = data.user == u
        assert report.users[label] == (here.sum(), pytest.approx(np.average(lost[here], weights=data.weight[here])))
    assert "taken for noise" in repr(report)
    assert report.to_frame().num_rows == 20
    again = RejectionReport.from_dict(json.loads(report.to_json()))
    assert again.users == report.users
    assert again.groups == report.groups


def test_z_of_groups_that_lose_alike_is_standard_normal():
    z = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(40), 10)
        taste = rng.beta(2, 8, 40)
        data = Comparisons.from_arrays(
            np.zeros(400, int),
            np.ones(400, int),
            user=user,
            items=Items(ids=["a", "b"]),
            group=["x" if u < 15 else "y" for u in user],
        )
        z.append(audit(data, (rng.random(400) < taste[user]).astype(float)).groups[0].z)
    # the group that lost more comes first, so these are absolute values
    assert np.mean(np.square(z)) == pytest.approx(1, abs=0.3)


def test_two_encoders_are_two_heads():
    noisy, test, _ = flipped(2, 0.2)
    model = CollaborativeReward(flip_rate=0.2, feature_blocks=(10, 6), **FIXED)
    views = model._views(noisy, 0)
    assert [view.tolist() for view in views] == [list(range(10)), list(range(10, 16))]
    assert accuracy(model.fit(noisy).predict_proba(test), test.outcome) > 0.75
    halves = CollaborativeReward(feature_share=0.5)._views(noisy, 0)
    assert sorted(np.concatenate(halves)) == list(range(16))
    with pytest.raises(UsageError, match="add up to 15"):
        CollaborativeReward(feature_blocks=(10, 5), **FIXED).fit(noisy)


def test_peers_that_see_the_same_are_one(recwarn):
    noisy, test, _ = flipped(3, 0.2)
    peer = CollaborativeReward(flip_rate=0.2, feature_share=1.0, **FIXED).fit(noisy)
    alone = CollaborativeReward(flip_rate=0.2, feature_share=1.0, method="self", **FIXED).fit(noisy)
    np.testing.assert_allclose(peer.predict_proba(test), alone.predict_proba(test), atol=1e-9)


def test_the_ridge_is_chosen_before_anything_is_dropped():
    """Chosen on the easy rows that are kept, it would be next to nothing."""
    noisy, _, _ = flipped(4, 0.2)
    plain = BradleyTerry(item_effects=False, uncertainty=False).fit(noisy)
    model = CollaborativeReward(flip_rate=0.2, item_effects=False, uncertainty=False).fit(noisy)
    assert model.ridge_ == plain.ridge_


def test_a_saved_model_keeps_its_report(tmp_path):
    with pytest.warns(DataWarning):
        model = CollaborativeReward(flip_rate=0.2, method="self", **FIXED).fit(opposed(1))
    model.save(tmp_path)
    loaded = pluralism.load(tmp_path)
    assert loaded.rejection_.to_json() == model.rejection_.to_json()
    assert loaded.selection_change_ == model.selection_change_
    document = json.loads((tmp_path / "model.json").read_text())
    document["state"]["rejection_"]["overall"] = 2.0
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match="not in"):
        pluralism.load(tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("flip_rate", 0.5),
        ("flip_rate", "auto"),
        ("method", "trust"),
        ("within", "prompt"),
        ("feature_share", 1.5),
        ("feature_blocks", (3,)),
        ("n_rounds", 0),
        ("warm_up", 0),
        ("ridge", -1.0),
    ],
)
def test_settings_that_cannot_work_are_named(setting, value):
    noisy, _, _ = flipped(0, 0.2)
    with pytest.raises(UsageError, match=setting):
        CollaborativeReward(**{setting: value}).fit(noisy)


def test_data_that_cannot_be_filtered():
    noisy, _, _ = flipped(0, 0.2)
    with pytest.raises(UsageError, match="ranks nothing"):
        CollaborativeReward(method="corrected", within="user").fit(noisy)
    with pytest.raises(DataError, match="BradleyTerry takes"):
        CollaborativeReward().fit(noisy.with_items(Items(ids=noisy.items.ids)))
    with pytest.raises(DataError, match="group for each row"):
        CollaborativeReward(within="group").fit(noisy._replace(group=None, groups=None))
