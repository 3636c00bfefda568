import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.special import expit
from sklearn.metrics import adjusted_rand_score

import pluralism as pl
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataWarning, ModelFileError, UsageError
from pluralism.models import BayesianMixture, MixtureBradleyTerry
from pluralism.testing import check_preference_model, checks


def nll(probability, data):
    return -float(np.mean(np.where(data.outcome > 0.5, np.log(probability), np.log(1 - probability))))


@pytest.fixture(scope="module")
def fitted(four_groups):
    return BayesianMixture(item_effects=False, rng=0).fit(four_groups.comparisons)


def small(seed=3):
    sim = simulate_mixture(n_users=30, n_groups=2, n_items=40, dim=2, pairs_per_user=12, scale=4.0, rng=seed)
    return sim.comparisons.split(test=0.3, by="row", rng=0)


@pytest.mark.parametrize("options", [{"covariance": "full"}, {"covariance": "diagonal", "item_effects": 0.5}])
def test_battery(options):
    model = BayesianMixture(**{"n_groups": 4, "ridge": 1.0, "item_effects": False, "n_init": 1} | options)
    results = check_preference_model(model, raise_on_failure=True)
    assert len(results) == len(checks())
    assert [result.name for result in results if result.status == "skipped"] == []


def test_it_finds_four_groups_without_being_told(four_groups, fitted):
    truth = four_groups.truth
    assert fitted.n_groups_ == 4
    assert fitted.n_groups_posterior_.argmax() + 1 == 4
    assert fitted.n_groups_posterior_.sum() == pytest.approx(1.0)
    assert adjusted_rand_score(truth.groups, fitted.membership().labels) > 0.97
    low, high = fitted.group_weight_intervals().T
    assert np.all((low < [0.42, 0.30, 0.20, 0.08]) & ([0.42, 0.30, 0.20, 0.08] < high))
    narrow = fitted.group_weight_intervals(level=0.5)
    assert np.all((low < narrow[:, 0]) & (narrow[:, 1] < high))
    assert np.all(np.diff(fitted.objective_path_) <= 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_over_seeds(seed):
    sim = simulate_mixture(
        n_users=150, n_groups=3, n_items=200, dim=12, pairs_per_user=40, group_weights=[0.5, 0.3, 0.2], rng=seed
    )
    train, test = sim.comparisons.split(test=0.25, by="row", rng=0)
    model = BayesianMixture(item_effects=False, rng=seed).fit(train)
    assert model.n_groups_ == 3
    assert adjusted_rand_score(sim.truth.groups, model.posterior_.argmax(axis=1)) > 0.85
    told = MixtureBradleyTerry(n_groups=3, item_effects=False, rng=seed).fit(train)
    assert nll(model.predict_proba(test), test) < nll(told.predict_proba(test), test) + 0.005


def test_one_group_is_found_where_there_is_one():
    sim = simulate_mixture(n_users=80, n_groups=1, n_items=100, dim=8, pairs_per_user=15, scale=2.0, rng=3)
    model = BayesianMixture(item_effects=False).fit(sim.comparisons)
    assert model.n_groups_ == 1
    assert model.n_groups_posterior_[0] > 0.99
    np.testing.assert_allclose(model.group_weight_intervals(), [[1.0, 1.0]])


def test_co_clustering_is_what_the_memberships_say(four_groups, fitted):
    together = fitted.co_clustering()
    truth = four_groups.truth.groups
    np.testing.assert_allclose(np.diag(together), 1.0)
    np.testing.assert_allclose(together, together.T)
    same = truth[:, None] == truth
    off = ~np.eye(len(truth), dtype=bool)
    assert together[same & off].mean() > 0.95
    assert together[~same].mean() < 0.02
    some = fitted.users_.to_pylist()[3:6]
    np.testing.assert_allclose(fitted.co_clustering(some), together[3:6, 3:6])
    newcomers = fitted.adapt(four_groups.comparisons)
    assert fitted.co_clustering(newcomers).shape == (240, 240)


def test_predictions_are_moderated_by_the_variance_of_the_logit(four_groups, fitted):
    data = four_groups.comparisons.take(np.arange(200))
    x = np.asarray(data.items.features)[data.left] - np.asarray(data.items.features)[data.right]
    for k in range(4):
        z, variance = x @ fitted.coef_[k], np.sum(x @ fitted.covariance_[k] * x, axis=1)
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        exact = weights @ expit(z + np.sqrt(variance) * nodes[:, None]) / weights.sum()
        np.testing.assert_allclose(fitted.predict_group_proba(data)[:, k], exact, atol=0.01)
    spread = np.sqrt(np.sum(np.asarray(data.items.features) @ fitted.covariance_[0] * data.items.features, axis=1))
    np.testing.assert_allclose(fitted.reward_std(data.items)[:, 0], spread, rtol=1e-6)


def test_standard_deviations_cover_the_truth():
    inside = total = 0
    for seed in range(10):
        sim = simulate_mixture(n_users=50, n_groups=1, n_items=60, dim=4, pairs_per_user=20, scale=2.5, rng=seed)
        model = BayesianMixture(n_groups=1, ridge=0.1, item_effects=False).fit(sim.comparisons)
        items = sim.comparisons.items
        error = (model.reward(items) - items.features @ sim.truth.heads.T)[:, 0] / model.reward_std(items)[:, 0]
        inside += int(np.sum(np.abs(error[:4]) < 1.96))
        total += 4
    assert inside / total >= 0.80


def test_the_diagonal_form_says_nearly_the_same(four_groups, fitted):
    data = four_groups.comparisons
    diagonal = BayesianMixture(item_effects=False, covariance="diagonal", rng=0).fit(data)
    assert diagonal.covariance_ is None
    assert diagonal.n_groups_ == 4
    np.testing.assert_allclose(diagonal.predict_proba(data), fitted.predict_proba(data), atol=0.06)
    ratio = diagonal.reward_std(data.items) / fitted.reward_std(data.items)
    assert 0.8 < np.median(ratio) < 1.1


def test_item_effects_and_covariates_are_part_of_the_posterior(tmp_path):
    sim = simulate_mixture(
        n_users=80, n_groups=2, n_items=60, dim=4, pairs_per_user=40, scale=2.0, item_effects=1.0, rng=2
    )
    data = sim.comparisons
    length = np.random.default_rng(5).normal(size=len(data.items))
    items = Items(
        ids=data.items.ids, features=data.items.features, feature_space="simulated", covariates={"size": length}
    )
    model = BayesianMixture(n_groups=4, covariates=("size",), position_bias=True).fit(data.with_items(items))
    assert model.item_precision_ is not None
    assert model.n_groups_ == 2
    assert model.covariance_.shape == (2, 4 + 60 + 2, 4 + 60 + 2)
    assert model.covariate_names_ == ["size", "position"]
    unseen = Items(ids=["new"], features=np.full((1, 4), 1e-9), feature_space="simulated", covariates={"size": [0.0]})
    assert model.reward_std(unseen)[0, 0] == pytest.approx(model.item_precision_**-0.5)
    model.save(tmp_path / "run")
    loaded = pl.load(tmp_path / "run")
    assert np.array_equal(loaded.predict_proba(data.with_items(items)), model.predict_proba(data.with_items(items)))


def test_groups_may_shrink_towards_everybody_together():
    sim = simulate_mixture(n_users=60, n_groups=2, n_items=80, dim=6, pairs_per_user=15, scale=3.0, rng=4)
    data = sim.comparisons
    pooled = BayesianMixture(n_groups=1, ridge=1e6, item_effects=False, centre="pooled").fit(data)
    free = BayesianMixture(n_groups=4, item_effects=False, centre="pooled").fit(data)
    zero = BayesianMixture(n_groups=4, item_effects=False).fit(data)
    assert free.n_groups_ == zero.n_groups_ == 2
    np.testing.assert_allclose(free.predict_proba(data), zero.predict_proba(data), atol=0.1)
    # heads that may not leave the centre all stay there
    tight = BayesianMixture(n_groups=2, ridge=1e6, item_effects=False, centre="pooled").fit(data)
    assert tight.n_groups_ == 1
    np.testing.assert_allclose(tight.coef_, pooled.coef_, atol=1e-3)


def test_items_without_text():
    sim = simulate_mixture(n_users=80, n_groups=2, n_items=20, dim=3, pairs_per_user=30, scale=4.0, rng=6)
    data = sim.comparisons
    bare = data.with_items(Items(ids=data.items.ids))
    model = BayesianMixture(n_groups=5).fit(bare)
    assert model.coef_ is None
    assert model.n_groups_ == 2
    assert adjusted_rand_score(sim.truth.groups, model.posterior_.argmax(axis=1)) > 0.95


def test_groups_with_an_effect_for_every_item_are_not_undercounted():
    # the Polya-Gamma bound alone prefers one group here, to the loss of a tenth of a nat a held-out answer
    sim = simulate_mixture(n_users=60, n_groups=2, n_items=60, dim=4, pairs_per_user=20, scale=4.0, rng=1)
    data = sim.comparisons.with_items(Items(ids=sim.comparisons.items.ids))
    train, test = data.split(test=0.2, by="row", rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model, pooled = BayesianMixture().fit(train), BayesianMixture(n_groups=1).fit(train)
    assert model.n_groups_ == 2
    assert nll(model.predict_proba(test), test) < nll(pooled.predict_proba(test), test) - 0.05


def test_checkpoints_bring_the_same_model_back(tmp_path, four_groups, fitted):
    told = []
    again = BayesianMixture(item_effects=False, rng=0)
    for _ in range(2):
        again.fit(
            four_groups.comparisons, checkpoint=tmp_path / "kept", callback=lambda piece, i, v: told.append(piece)
        )
    assert np.array_equal(again.coef_, fitted.coef_)
    assert again.starts_ == fitted.starts_
    assert told.count("fit") > 2
    assert told[-1] == "fit"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups"),
        ({"n_groups": "auto"}, "n_groups"),
        ({"concentration": 0.0}, "concentration"),
        ({"engine": "mcmc"}, "engine"),
        ({"centre": "mean"}, "centre"),
        ({"covariance": "low-rank"}, "covariance"),
        ({"ridge": 0}, "ridge"),
        ({"ridge": "evidence"}, "ridge"),
    ],
)
def test_settings_that_cannot_work_are_named(four_groups, options, message):
    with pytest.raises(UsageError, match=message):
        BayesianMixture(**options).fit(four_groups.comparisons)


@pytest.mark.parametrize(
    ("piece", "change", "message"),
    [
        ("covariance_", lambda a: None, "covariance"),
        ("covariance_", lambda a: a[:, 1:, 1:], "coefficients"),
        ("weight_draws_", lambda a: a * 2, "probabilities"),
        ("n_groups_posterior_", lambda a: None, "n_groups_posterior_"),
    ],
)
def test_states_that_no_fit_leaves_are_refused(tmp_path, fitted, piece, change, message):
    from pluralism.files import load_bundle, save_bundle

    fitted.save(tmp_path / "run")
    document, arrays = load_bundle(tmp_path / "run")
    document = {k: v for k, v in document.items() if not k.startswith("arrays")}
    changed = change(arrays.pop(piece))
    arrays |= {} if changed is None else {piece: np.ascontiguousarray(changed)}
    save_bundle(tmp_path / "run", document, arrays)
    with pytest.raises(ModelFileError, match=message):
        pl.load(tmp_path / "run")


def test_a_missing_pyro_is_named(four_groups, monkeypatch):
    import importlib

    real = importlib.import_module

    def without(name, *arguments):
        if name.partition(".")[0] == "pyro":
            raise ModuleNotFoundError("No module named 'pyro'", name="pyro")
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(pl.errors.MissingExtraError, match="bayes"):
        BayesianMixture(engine="svi", ridge=1.0, item_effects=False).fit(small()[0])


ANNOTATED = {"user_temperature": True, "user_lapse": True}


def with_clickers(seed, *, n_users=90, share=0.25):
    """Two groups, of whose people some toss a coin: train, test, who does."""
    sim = simulate_mixture(
        n_users=n_users,
        n_groups=2,
        n_items=120,
        dim=5,
        pairs_per_user=30,
        scale=4.0,
        group_weights=[0.6, 0.4],
        rng=seed,
    )
    rng = np.random.default_rng([seed, 76])
    clicks = rng.permutation(n_users) < share * n_users
    data = sim.comparisons
    coin = rng.integers(2, size=len(data)).astype(float)
    data = data._replace(outcome=np.where(clicks[data.user], coin, data.outcome))
    return *data.split(test=0.3, by="row", rng=0), clicks


def test_clickers_are_known_and_no_group_of_their_own(tmp_path):
    train, test, clicks = with_clickers(0)
    settings = {"n_groups": 4, "item_effects": False, "n_init": 1}
    plain = BayesianMixture(**settings).fit(train)
    model = BayesianMixture(**settings, user_lapse=True).fit(train)
    assert (plain.n_groups_, model.n_groups_) == (3, 2)
    lapse = model.user_lapse_[model.membership(train).index(train.users)]
    assert lapse[clicks].mean() > 0.7
    assert lapse[~clicks].mean() < 0.05
    assert np.all(np.diff(model.objective_path_) <= 1e-6)
    placed, trained = model.adapt(train), model.membership(train)
    np.testing.assert_allclose(placed.of(trained.users), trained.posterior, atol=0.1)
    assert nll(model.predict_proba(test), test) < nll(plain.predict_proba(test), test) + 0.005
    model.save(tmp_path / "run")
    loaded = pl.load(tmp_path / "run")
    assert np.array_equal(loaded.predict_proba(test), model.predict_proba(test))
    assert np.array_equal(loaded.adapt(train).position, placed.position)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_temperatures_and_lapses_over_seeds(seed):
    """Found where some click at random, and nothing lost where nobody does."""
    settings = {"n_groups": 4, "item_effects": False, "n_init": 1}
    for share in (0.25, 0.0):
        train, test, clicks = with_clickers(seed, share=share)
        plain = BayesianMixture(**settings).fit(train)
        model = BayesianMixture(**settings, **ANNOTATED).fit(train)
        lapse = model.user_lapse_[model.membership(train).index(train.users)]
        honest = test.take(~clicks[test.user])
        assert nll(model.predict_proba(honest), honest) < nll(plain.predict_proba(honest), honest) + 0.004
        assert lapse[~clicks].mean() < 0.05
        if share:
            assert lapse[clicks].mean() > 0.7


@pytest.mark.slow
def test_battery_of_people_who_answer_differently():
    model = BayesianMixture(n_groups=2, ridge=1.0, item_effects=False, covariance="diagonal", **ANNOTATED)
    results = check_preference_model(model, raise_on_failure=True)
    assert [result.name for result in results if result.status == "skipped"] == []


@pytest.mark.slow
def test_the_engines_agree_on_people_who_lapse():
    """Pyro's SVI and NUTS sum kinds out as the deterministic fit does, at its population."""
    pytest.importorskip("pyro", reason="needs the extra: pip install 'pluralism[bayes]'")
    train, test, _ = with_clickers(1, n_users=30)
    settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False, "user_lapse": True}
    quick = BayesianMixture(**settings).fit(train)
    for engine in ({"engine": "svi", "steps": 400}, {"engine": "nuts", "draws": 150, "warmup": 150}):
        model = BayesianMixture(**settings, **engine).fit(train)
        np.testing.assert_allclose(model.predict_proba(test), quick.predict_proba(test), atol=0.08)
        np.testing.assert_allclose(model.user_lapse_, quick.user_lapse_, atol=0.15)
        np.testing.assert_array_equal(model.annotator_shares_, quick.annotator_shares_)


@pytest.mark.slow
def test_stochastic_variational_inference_agrees_with_the_deterministic_one(tmp_path):
    pytest.importorskip("pyro", reason="needs the extra: pip install 'pluralism[bayes]'")
    import torch

    train, test = small()
    settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False}
    quick = BayesianMixture(**settings).fit(train)
    before = torch.random.get_rng_state()
    model = BayesianMixture(**settings, engine="svi", steps=400).fit(train)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_allclose(model.predict_proba(test), quick.predict_proba(test), atol=0.04)
    np.testing.assert_allclose(model.posterior_, quick.posterior_, atol=0.05)
    np.testing.assert_allclose(model.group_weights_, quick.group_weights_, atol=0.05)
    again = BayesianMixture(**settings, engine="svi", steps=400).fit(train)
    assert np.array_equal(again.coef_, model.coef_)
    model.save(tmp_path / "run")
    assert np.array_equal(pl.load(tmp_path / "run").predict_proba(test), model.predict_proba(test))


@pytest.mark.slow
def test_nuts_agrees_with_the_deterministic_fit():
    pytest.importorskip("pyro", reason="needs the extra: pip install 'pluralism[bayes]'")
    train, test = small()
    settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False}
    quick = BayesianMixture(**settings).fit(train)
    model = BayesianMixture(**settings, engine="nuts", draws=200, warmup=150).fit(train)
    np.testing.assert_allclose(model.predict_proba(test), quick.predict_proba(test), atol=0.06)
    np.testing.assert_allclose(model.posterior_, quick.posterior_, atol=0.08)
    ratio = quick.reward_std(test.items) / model.reward_std(test.items)
    assert 0.6 < np.median(ratio) < 1.2


@pytest.mark.slow
def test_real_judgements_of_arguments(shared_data):
    """Arguments as items alone: groups bring nothing there, and the model says so by finding one."""
    folder = shared_data / "ukp_convarg"
    table = pq.read_table(folder / "comparisons.parquet", columns=["pair_id", "user_id", "choice"])
    pairs = pq.read_table(folder / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
    table = table.join(pairs, "pair_id").sort_by([("user_id", "ascending"), ("pair_id", "ascending")])
    slash = pa.scalar("/", table["topic"].type)
    outcome = {"a1": 1.0, "a2": 0.0, "equal": 0.5}
    frame = pa.table(
        {
            "user": table["user_id"],
            "left": pc.binary_join_element_wise(table["topic"], table["arg_a"], slash),
            "right": pc.binary_join_element_wise(table["topic"], table["arg_b"], slash),
            "outcome": [outcome[c] for c in table["choice"].to_pylist()],
        }
    )
    data = Comparisons.from_frame(frame)
    data = data.take(np.bincount(data.user)[data.user] >= 20).compact()
    train, test = data.split(test=0.2, by="row", rng=0)
    test = test.take(test.outcome != 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        groups = BayesianMixture(rng=0).fit(train)
        pooled = BayesianMixture(n_groups=1, rng=0).fit(train)
    losses = [nll(model.predict_proba(test), test) for model in (groups, pooled)]
    assert groups.n_groups_ == 1
    assert losses[0] < losses[1] + 0.001
    assert losses[0] < 0.46
