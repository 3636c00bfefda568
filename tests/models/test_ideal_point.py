import importlib.util

import numpy as np
import pytest
from scipy.special import expit

import pluralism as pl
from pluralism.data.simulate import simulate_ideal_points
from pluralism.errors import ConvergenceWarning, DataError, DataWarning, SeparationWarning, UsageError
from pluralism.models import BradleyTerry, IdealPoint, Membership
from pluralism.models.prototypes import expected_probability
from pluralism.testing import check_preference_model

QUICK = {"ridge": 1.0, "concentration": 1.0, "blocks": "item", "n_init": 2}


def nll(p, data):
    return -float(np.mean(data.outcome * np.log(p) + (1 - data.outcome) * np.log(1 - p)))


def shared_out(n_answers, *, n_users=160, n_prototypes=3, concentration=None, scale=3.0, seed=0):
    """Training answers of one half of the people, and all answers of the others."""
    simulation = simulate_ideal_points(
        n_users=n_users,
        n_prototypes=n_prototypes,
        n_items=300,
        dim=8,
        pairs_per_user=n_answers,
        concentration=concentration,
        scale=scale,
        rng=seed,
    )
    data = simulation.comparisons
    return data.take(data.user < n_users // 2).compact(), data.take(data.user >= n_users // 2), simulation.truth


@pytest.fixture(scope="module")
def mixed():
    return shared_out(24, concentration=1.0)


@pytest.fixture(scope="module")
def fitted(mixed):
    return IdealPoint(n_prototypes=3, map="identity", **QUICK).fit(mixed[0])


def test_one_prototype_and_the_identity_is_bradley_terry_with_a_quadratic_term(mixed):
    train = mixed[0]
    model = IdealPoint(n_prototypes=1, map="identity", ridge=1.0).fit(train)
    x = np.asarray(train.items.features, dtype=np.float64)
    used = np.unique(np.concatenate([train.left, train.right]))
    centred = x - x[used].mean(axis=0)
    unit = np.mean(np.sum(centred[used] ** 2, axis=1))
    scaled = centred / np.sqrt(unit)
    wide = np.column_stack([scaled, -np.sum(scaled**2, axis=1)])
    pooled = BradleyTerry(ridge=1.0 / unit, item_effects=False).fit(train.with_features(wide, "wide"))
    np.testing.assert_allclose(
        model.predict_proba(train), pooled.predict_proba(train.with_features(wide, "wide")), atol=1e-4
    )
    assert model.sharpness_ * unit == pytest.approx(pooled.coef_[0, -1], rel=1e-3)
    assert model.control_ is None


def test_rewards_are_distances_to_the_prototypes(mixed, fitted):
    items = mixed[0].items
    for model in (fitted, IdealPoint(n_prototypes=2, latent_dim=3, **QUICK).fit(mixed[0])):
        f = model.embed(items)
        scale = 1.0 if model.sharpness_ is None else model.sharpness_
        distance = np.sum((f[:, None, :] - model.prototypes_[None]) ** 2, axis=2)
        both = model.reward(items) + scale * distance
        np.testing.assert_allclose(both, np.tile(both[:1], (len(items), 1)), rtol=1e-6)
        p = model.predict_group_proba(mixed[0])
        gap = scale * (distance[mixed[0].right] - distance[mixed[0].left])
        np.testing.assert_allclose(p, expit(gap), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["mixture", "partition"])
def test_the_number_of_prototypes_is_found_over_seeds(weights):
    chosen = []
    for seed in range(5):
        concentration = 0.3 if weights == "mixture" else None
        train, _, _ = shared_out(40, n_users=200, concentration=concentration, scale=5.0, seed=seed)
        model = IdealPoint(map="identity", weights=weights, max_prototypes=4, **QUICK).fit(train)
        chosen.append(model.n_groups_)
        assert [row["n_groups"] for row in model.selection_ if row["chosen"]] == [model.n_groups_]
    assert chosen.count(3) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["mixture", "partition"])
def test_the_elbow_of_the_synthetic_study_is_at_three_prototypes(repository, weights):
    spec = importlib.util.spec_from_file_location("pal_synthetic", repository / "examples" / "pal_synthetic.py")
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    found = {k: [study.study(weights, k, seed) for seed in range(2)] for k in (1, 2, 3, 4)}
    seen = {k: np.mean([run[0] for run in runs]) for k, runs in found.items()}
    assert seen[2] > seen[1] + 0.03
    assert seen[3] > max(seen[2] + 0.03, 0.94)
    assert abs(seen[4] - seen[3]) < 0.01
    loss = np.mean([run[2] for run in found[3]], axis=0)
    assert np.all(np.diff(loss) < 0)


@pytest.mark.parametrize("weights", ["mixture", "partition"])
def test_planted_people_are_recovered_over_seeds(weights):
    for seed in range(5):
        train, _, truth = shared_out(30, concentration=0.3 if weights == "mixture" else None, scale=4.0, seed=seed)
        model = IdealPoint(n_prototypes=3, map="identity", weights=weights, **QUICK).fit(train)
        found, wanted = model.ideal_points(model.posterior_), truth.ideal_points[: train.n_users]
        residual = np.sum((found - wanted) ** 2) / np.sum((wanted - wanted.mean(axis=0)) ** 2)
        assert residual < 0.5
        assert model.control_.log_likelihood_ < model.log_likelihood_


@pytest.mark.parametrize("concentration", [0.3, 1.0, None])
def test_few_answers_never_do_worse_than_none(concentration):
    gain = []
    for seed in range(4):
        train, others, _ = shared_out(20, n_users=240, concentration=concentration, seed=seed)
        model = IdealPoint(n_prototypes=3, map="identity", ridge=1.0, concentration=0.3).fit(train)
        rank = np.arange(len(others)) - np.searchsorted(others.user, others.user)
        query = others.take(rank >= 10)
        loss = [
            nll(model.predict_proba(query, membership=model.adapt(others.take(rank < n))), query) for n in (0, 2, 3, 5)
        ]
        gain.append([loss[0] - later for later in loss[1:]])
    assert np.min(np.mean(gain, axis=0)) > 0
    assert np.min(gain) > -0.003


def test_adapting_is_bayes_rule_and_reports_the_draws_behind_it(mixed, fitted):
    others = mixed[1]
    rank = np.arange(len(others)) - np.searchsorted(others.user, others.user)
    few = others.take(rank < 3).compact()
    found = fitted.posterior(few)
    draws = np.random.default_rng([7, 7]).dirichlet(fitted.concentration_, size=100_000)
    gaps = fitted.reward(few.items)[few.left] - fitted.reward(few.items)[few.right]
    for u in range(3):
        z = draws @ gaps[few.user == u].T
        share = np.prod(expit(np.where(few.outcome[few.user == u] > 0.5, z, -z)), axis=1)
        np.testing.assert_allclose(found.mean[u], share @ draws / share.sum(), atol=0.02)
    assert np.all(found.ess > 20)
    placed = fitted.adapt(few)
    np.testing.assert_allclose(placed.posterior, found.mean)
    assert placed.covariance.shape == (few.n_users, 3, 3)
    assert fitted.ess_.min() > 10


def test_predictions_average_over_the_posterior_and_stay_between_the_prototypes(mixed, fitted):
    others = mixed[1]
    p, by_prototype = fitted.predict_proba(others), fitted.predict_group_proba(others)
    assert np.all((p >= by_prototype.min(axis=1) - 1e-12) & (p <= by_prototype.max(axis=1) + 1e-12))
    draws = np.random.default_rng([7, 8]).dirichlet(fitted.concentration_, size=4000)
    rewards = fitted.reward(others.items)
    exact = expit((rewards[others.left] - rewards[others.right]) @ draws.T).mean(axis=1)
    assert np.mean(np.abs(p - exact)) < 0.01
    bare = Membership(others.users, np.tile(fitted.group_weights_, (others.n_users, 1)), np.ones(others.n_users, int))
    middle = expit((rewards[others.left] - rewards[others.right]) @ fitted.group_weights_)
    np.testing.assert_allclose(fitted.predict_proba(others, membership=bare), middle, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 5.0])
@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_expected_probabilities_are_close_to_exact(alpha, size):
    rng = np.random.default_rng([9, int(10 * alpha)])
    draws = rng.dirichlet(np.full(3, alpha), size=20_000)
    gaps = size * rng.normal(size=(100, 3))
    mean, covariance = np.full((100, 3), 1 / 3), np.tile(np.cov(draws.T), (100, 1, 1))
    found = expected_probability(gaps, mean, covariance)
    assert np.mean(np.abs(found - expit(gaps @ draws.T).mean(axis=1))) < 0.02


def test_a_hidden_layer_learns_what_a_line_cannot(tmp_path):
    rng = np.random.default_rng([5, 5])
    x = rng.uniform(-1, 1, size=(400, 3))
    height = 4 * np.sin(4 * x[:, 0]) * np.sign(x[:, 1])
    user = np.repeat(np.arange(60), 60)
    left, right = rng.integers(400, size=(2, len(user)))
    keep = left != right
    user, left, right = user[keep], left[keep], right[keep]
    sign = np.where(user % 2 == 0, 1.0, -1.0)
    outcome = (rng.random(len(user)) < expit(sign * (height[left] - height[right]))).astype(float)
    items = pl.Items(ids=[f"i{k}" for k in range(400)], features=x, feature_space="test")
    data = pl.Comparisons.from_arrays(left, right, user=user, outcome=outcome, items=items)
    train, test = data.split(test=0.25, by="row", rng=0)
    options = {"n_prototypes": 2, "latent_dim": 2, "ridge": 0.1, "concentration": 0.3, "n_init": 2}
    line = IdealPoint(map="linear", **options).fit(train)
    deep = IdealPoint(map="mlp", hidden=64, **options).fit(train)
    assert nll(deep.predict_proba(test), test) < nll(line.predict_proba(test), test) - 0.05
    deep.save(tmp_path)
    np.testing.assert_array_equal(pl.load(tmp_path).predict_proba(test), deep.predict_proba(test))


def test_checkpoints_give_the_uninterrupted_result(tmp_path, mixed):
    model = IdealPoint(n_prototypes=2, latent_dim=3, n_init=2, concentration=1.0)
    first = model.fit(mixed[0], checkpoint=tmp_path).reward(mixed[0].items)
    names = []
    again = model.fit(mixed[0], checkpoint=tmp_path, callback=lambda name, *_: names.append(name))
    np.testing.assert_array_equal(again.reward(mixed[0].items), first)
    assert any(name.startswith("settings/2") for name in names)


def test_ridge_and_concentration_are_chosen_together(mixed):
    model = IdealPoint(n_prototypes=2, map="identity", n_init=2).fit(mixed[0])
    ridge, concentration, best = min(model.ridge_path_, key=lambda row: row[2])
    assert model.ridge_ == pytest.approx(ridge)
    assert len({row[1] for row in model.ridge_path_}) > 1
    assert best < np.log(2)
    assert concentration > 0


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ({"map": "identity"}, 61),
        ({"latent_dim": 3, "ridge": 0.3}, 60),
        ({"latent_dim": 3, "weights": "partition", "ridge": 0.3}, 60),
        ({"latent_dim": 3, "prototypes": "features", "ridge": 0.3}, 60),
    ],
)
def test_battery(options, passed):
    results = check_preference_model(IdealPoint(n_prototypes=2, **(QUICK | options)), raise_on_failure=True)
    assert sum(result.passed for result in results) == passed
    skipped = {result.name for result in results if result.status == "skipped"}
    alone = {name for name in skipped if "item" in name or "unrelated" in name or "uncertainty" in name}
    assert skipped == alone


@pytest.mark.slow
def test_battery_with_a_hidden_layer():
    model = IdealPoint(n_prototypes=2, map="mlp", hidden=8, latent_dim=3, **QUICK)
    results = check_preference_model(model, raise_on_failure=True)
    assert sum(result.passed for result in results) == 60


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_prototypes", 0),
        ("n_prototypes", "many"),
        ("max_prototypes", 0),
        ("map", "cubic"),
        ("latent_dim", 0),
        ("hidden", 1.5),
        ("weights", "half"),
        ("prototypes", "items"),
        ("ridge", 0.0),
        ("concentration", -1.0),
        ("blocks", "sentence"),
        ("tol", 0),
    ],
)
def test_settings_that_cannot_work_are_named(mixed, setting, value):
    with pytest.raises(UsageError, match=setting):
        IdealPoint(**{setting: value}).fit(mixed[0])


def test_items_without_features_are_refused(mixed):
    bare = mixed[0].with_items(pl.Items(ids=mixed[0].items.ids))
    with pytest.raises(DataError, match="features"):
        IdealPoint().fit(bare)


def test_what_a_user_should_know_is_said(mixed):
    data = mixed[0]
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        IdealPoint(n_prototypes=1, max_iter=1, ridge=1.0).fit(data)
    with pytest.warns(DataWarning, match="more prototypes"):
        IdealPoint(n_prototypes=4, map="identity", **QUICK).fit(data.take(data.user < 2).compact())
    few = data.take(data.user < 2).take(slice(0, 3)).compact()
    with pytest.warns(SeparationWarning, match="separable"):
        IdealPoint(n_prototypes=1, map="identity", ridge=1e-3).fit(few)
