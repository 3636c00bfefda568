import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import pluralism as pl
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataWarning, ModelFileError, UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry


def accuracy(probability, data):
    return float(np.mean((probability > 0.5) == (data.outcome > 0.5)))


@pytest.fixture(scope="module")
def fitted(four_groups):
    return MixtureBradleyTerry(n_groups=4, ridge=0.3, item_effects=False, rng=0).fit(four_groups.comparisons)


def test_recovers_groups_weights_and_rewards(four_groups, fitted):
    truth = four_groups.truth
    members = fitted.membership()
    assert adjusted_rand_score(truth.groups, members.labels) > 0.97
    np.testing.assert_allclose(fitted.group_weights_, [0.42, 0.30, 0.20, 0.08], atol=0.02)
    for k in range(4):
        match = np.bincount(truth.groups[members.labels == k]).argmax()
        correlation = np.corrcoef(fitted.reward(four_groups.comparisons.items)[:, k], truth.item_rewards[:, match])
        assert correlation[0, 1] > 0.93
    assert np.all(np.diff(fitted.objective_path_) <= 1e-9)
    low, high = fitted.group_weight_intervals().T
    assert np.all((low < [0.42, 0.30, 0.20, 0.08]) & ([0.42, 0.30, 0.20, 0.08] < high))


@pytest.mark.slow
def test_chooses_the_number_of_groups_over_seeds():
    chosen = []
    for seed in range(5):
        sim = simulate_mixture(
            n_users=150,
            n_groups=3,
            n_items=200,
            dim=12,
            pairs_per_user=20,
            scale=3.0,
            group_weights=[0.5, 0.3, 0.2],
            rng=seed,
        )
        model = MixtureBradleyTerry(ridge=0.3, item_effects=False, max_groups=5, rng=seed).fit(sim.comparisons)
        chosen.append(model.n_groups_)
    assert chosen.count(3) >= 4


def test_one_group_is_chosen_where_there_is_one():
    sim = simulate_mixture(n_users=80, n_groups=1, n_items=100, dim=8, pairs_per_user=15, scale=2.0, rng=3)
    model = MixtureBradleyTerry(ridge=0.3, item_effects=False, max_groups=3).fit(sim.comparisons)
    assert model.n_groups_ == 1
    assert [row["n_groups"] for row in model.selection_] == [1, 2, 3]
    assert [row["chosen"] for row in model.selection_] == [True, False, False]


def test_the_minority_is_served_by_the_mixture_and_failed_by_the_control():
    sim = simulate_mixture(
        n_users=110, n_groups=2, n_items=200, dim=12, pairs_per_user=30, scale=4.0, group_weights=[10, 1], rng=5
    )
    train, test = sim.comparisons.split(test=0.25, by="row", rng=0)
    model = MixtureBradleyTerry(n_groups=2, ridge="auto", item_effects=False).fit(train)
    minority = sim.truth.groups[test.user] == 1
    pooled, mixture = model.control_.predict_proba(test), model.predict_proba(test)
    known = BradleyTerry(item_effects=False).fit(train.take(sim.truth.groups[train.user] == 1)).predict_proba(test)
    mine = test.take(minority)
    assert accuracy(pooled[minority], mine) < 0.65
    assert accuracy(mixture[minority], mine) >= accuracy(known[minority], mine) - 0.02


def test_adapt_is_bayes_rule_with_the_group_weights_as_prior(four_groups, fitted):
    data = four_groups.comparisons.take(np.arange(0, 7200, 3))
    placed = fitted.adapt(data)
    probability = expit(fitted.reward(data.items)[data.left] - fitted.reward(data.items)[data.right])
    log_row = np.where(data.outcome[:, None] == 1, np.log(probability), np.log(1 - probability))
    log_row[data.outcome == 0.5] = 0.5 * (np.log(probability) + np.log(1 - probability))[data.outcome == 0.5]
    total = np.zeros((data.n_users, 4))
    np.add.at(total, data.user, log_row)
    np.testing.assert_allclose(placed.posterior, softmax(total + np.log(fitted.group_weights_), axis=1), atol=1e-9)
    nobody = fitted.adapt(data.take(np.zeros(0, dtype=int)))
    np.testing.assert_allclose(nobody.posterior, np.tile(fitted.group_weights_, (240, 1)), atol=1e-12)
    assert nobody.n.tolist() == [0] * 240


def test_unknown_users_are_predicted_by_the_population(four_groups, fitted):
    data = four_groups.comparisons.take(np.arange(5))
    strangers = pl.Comparisons.from_arrays(
        data.left, data.right, user=["stranger"] * 5, outcome=data.outcome, items=data.items
    )
    by_group = fitted.predict_group_proba(strangers)
    np.testing.assert_allclose(fitted.predict_proba(strangers), by_group @ fitted.group_weights_, rtol=1e-10)
    placed = fitted.adapt(strangers)
    np.testing.assert_allclose(
        fitted.predict_proba(strangers, membership=placed), by_group @ placed.posterior[0], rtol=1e-10
    )


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "hard"},
        {"algorithm": "hard", "init": "modulo"},
        {"shared": 10.0},
        {"user_temperature": True},
        {"user_lapse": True, "ties": "davidson"},
        {"ties": "davidson", "covariates": ("length",), "position_bias": True},
    ],
)
def test_options_keep_the_groups(four_groups, options):
    data = four_groups.comparisons
    if "covariates" in options:
        rng = np.random.default_rng(8)
        data = data.with_items(
            type(data.items)(
                ids=data.items.ids,
                features=data.items.features,
                feature_space="simulated",
                covariates={"length": rng.normal(size=len(data.items))},
            )
        )
    model = MixtureBradleyTerry(n_groups=4, ridge=0.3, item_effects=False, rng=0, **options).fit(data)
    if options.get("init") != "modulo":
        assert adjusted_rand_score(four_groups.truth.groups, model.membership().labels) > 0.9
    p = model.predict_proba(data)
    assert np.all((p > 0) & (p < 1))
    assert accuracy(p, data) > accuracy(model.control_.predict_proba(data), data)


def test_models_saved_with_temperatures_of_the_earlier_form_are_refused(fitted, tmp_path):
    from pluralism.files import load_bundle, save_bundle

    fitted.save(tmp_path / "run")
    document, arrays = load_bundle(tmp_path / "run")
    document = {k: v for k, v in document.items() if not k.startswith("arrays")}
    del document["parameters"]["user_lapse"]
    save_bundle(tmp_path / "run", document, arrays)
    assert pl.load(tmp_path / "run").user_lapse is False
    save_bundle(tmp_path / "run", document, arrays | {"user_temperature_": np.ones(240)})
    with pytest.raises(ModelFileError, match="earlier form"):
        pl.load(tmp_path / "run")


def test_saved_and_loaded_models_are_the_same(tmp_path, four_groups, fitted):
    fitted.save(tmp_path / "run")
    loaded = pl.load(tmp_path / "run")
    data = four_groups.comparisons
    assert type(loaded) is MixtureBradleyTerry
    assert loaded.get_params() == fitted.get_params()
    assert np.array_equal(loaded.predict_proba(data), fitted.predict_proba(data))
    assert np.array_equal(loaded.reward_std(data.items), fitted.reward_std(data.items))
    assert np.array_equal(loaded.control_.predict_proba(data), fitted.control_.predict_proba(data))
    assert loaded.membership().users.equals(fitted.membership().users)
    assert sorted(path.suffix for path in (tmp_path / "run").iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kind": "MixtureBradleyTerry"', '"kind": "os.system"', "does not know"),
        ('"n_iter_"', '"m_iter_"', "incomplete"),
        ('"n_groups": 4', '"n_gruops": 4', "incomplete"),
        ('"n_groups": 4', '"n_groups": 7', "n_groups"),
        ('"schema_version": 1', '"schema_version": 999', "schema"),
    ],
)
def test_damaged_documents_are_refused(tmp_path, fitted, old, new, message):
    fitted.save(tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelFileError, match=message):
        pl.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("piece", "change", "message"),
    [
        ("coef_", lambda a: None, "coef"),
        ("coef_", lambda a: a.astype(np.int64), "type"),
        ("coef_", lambda a: a[:, 1:], "dim"),
        ("posterior_", lambda a: a[:-1], "users"),
        ("group_weights_", lambda a: a * 2, "probabilities"),
        ("covariance_", lambda a: a * np.nan, "finite"),
        ("tie_", lambda v: -5.0, "tie_"),
        ("tie_", lambda v: "abc", "tie_"),
        ("converged_", lambda v: "no", "converged_"),
        ("covariate_names_", lambda v: ["a"], "covariates"),
    ],
)
def test_states_that_no_fit_leaves_are_refused(tmp_path, fitted, piece, change, message):
    from pluralism.files import load_bundle, save_bundle

    fitted.save(tmp_path / "run")
    document, arrays = load_bundle(tmp_path / "run")
    document = {k: v for k, v in document.items() if not k.startswith("arrays")}
    if piece in arrays:
        changed = change(arrays.pop(piece))
        arrays |= {} if changed is None else {piece: np.ascontiguousarray(changed)}
    else:
        document["state"][piece] = change(document["state"][piece])
    save_bundle(tmp_path / "run", document, arrays)
    with pytest.raises(ModelFileError, match=message):
        pl.load(tmp_path / "run")


def test_same_seed_same_bytes_and_clones_forget(four_groups, fitted):
    again = clone(fitted)
    assert not hasattr(again, "converged_")
    again.fit(four_groups.comparisons)
    assert np.array_equal(again.coef_, fitted.coef_)
    assert np.array_equal(again.posterior_, fitted.posterior_)


SCRIPT = """
    import sys
    from pluralism.data.simulate import simulate_mixture
    from pluralism.models import MixtureBradleyTerry
    import pluralism.models.fitting as fitting

    fitting.SECONDS_BETWEEN_STATES = 0.0
    data = simulate_mixture(n_users=60, n_groups=2, n_items=80, dim=6, pairs_per_user=15, rng=0).comparisons
    model = MixtureBradleyTerry(n_groups="auto", max_groups=3, item_effects=False, rng=0)
    model.fit(data, checkpoint=sys.argv[1], callback=lambda *step: print(*step, flush=True))
    model.save(sys.argv[2])
"""


@pytest.mark.parametrize("steps", [3, 60])
def test_a_killed_fit_goes_on_to_the_same_result(tmp_path, steps):
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def start(checkpoint, out):
        return subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / checkpoint), str(tmp_path / out)],
            stdout=subprocess.PIPE,
            text=True,
        )

    killed = start("kept", "never")
    for _ in range(steps):
        killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "never").exists()
    assert list((tmp_path / "kept").iterdir())
    for checkpoint, out in (("kept", "resumed"), ("fresh", "whole")):
        run = start(checkpoint, out)
        run.communicate()
        assert run.returncode == 0
    resumed, whole = pl.load(tmp_path / "resumed"), pl.load(tmp_path / "whole")
    assert np.array_equal(resumed.coef_, whole.coef_)
    assert np.array_equal(resumed.posterior_, whole.posterior_)
    assert resumed.selection_ == whole.selection_
    assert np.array_equal(resumed.objective_path_, whole.objective_path_)


def test_more_groups_than_users_is_said():
    sim = simulate_mixture(n_users=3, n_groups=1, n_items=20, dim=3, pairs_per_user=10, rng=0)
    with pytest.warns(DataWarning, match="more groups"):
        model = MixtureBradleyTerry(n_groups=5, ridge=1.0, item_effects=False).fit(sim.comparisons)
    assert np.isfinite(model.coef_).all()
    assert model.posterior_.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups"),
        ({"n_groups": "many"}, "n_groups"),
        ({"algorithm": "medium"}, "algorithm"),
        ({"init": "modulo"}, "init"),
        ({"algorithm": "hard"}, "hard"),
        ({"shared": -1.0}, "shared"),
        ({"concentration": 0.5}, "concentration"),
        ({"n_init": 0}, "n_init"),
        ({"user_lapse": "yes"}, "user_lapse"),
        ({"n_groups": 2, "algorithm": "hard", "user_lapse": True}, "lapses"),
    ],
)
def test_settings_that_cannot_work_are_named(four_groups, options, message):
    with pytest.raises(UsageError, match=message):
        MixtureBradleyTerry(**options).fit(four_groups.comparisons)


def test_a_fifth_of_random_answers_does_not_hide_the_groups():
    sim = simulate_mixture(
        n_users=120,
        n_groups=2,
        n_items=150,
        dim=8,
        pairs_per_user=40,
        scale=4.0,
        noise=0.2,
        group_weights=[0.8, 0.2],
        rng=11,
    )
    model = MixtureBradleyTerry(n_groups=2, ridge=0.3, item_effects=False).fit(sim.comparisons)
    assert adjusted_rand_score(sim.truth.groups, model.membership().labels) > 0.9


def test_one_user_with_nearly_all_answers_does_not_swallow_the_others():
    sim = simulate_mixture(n_users=41, n_groups=2, n_items=100, dim=6, pairs_per_user=100, scale=4.0, rng=12)
    data = sim.comparisons
    keep = (data.user == 0) | (np.arange(len(data)) % 100 < 25)
    loud = data.take(keep)
    weight = np.where(loud.user == 0, 50.0, 1.0)
    loud = pl.Comparisons.from_arrays(
        loud.left,
        loud.right,
        user=[f"u{u:02d}" for u in loud.user],
        outcome=loud.outcome,
        weight=weight,
        items=data.items,
    )
    model = MixtureBradleyTerry(n_groups=2, ridge=0.3, item_effects=False).fit(loud)
    labels = model.membership().of([f"u{u:02d}" for u in range(1, 41)]).argmax(1)
    assert adjusted_rand_score(sim.truth.groups[1:41], labels) > 0.85
    assert model.effective_n_.sum() == pytest.approx(41)


def test_thread_counts_change_nothing_but_rounding(four_groups):
    import numba

    settings = {"n_groups": 4, "ridge": 0.3, "item_effects": False, "n_init": 2, "rng": 0}
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = MixtureBradleyTerry(**settings).fit(four_groups.comparisons)
    finally:
        numba.set_num_threads(before)
    two = MixtureBradleyTerry(**settings).fit(four_groups.comparisons)
    np.testing.assert_allclose(one.coef_, two.coef_, atol=1e-4)
    np.testing.assert_allclose(one.posterior_, two.posterior_, atol=1e-4)
