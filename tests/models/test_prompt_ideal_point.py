import warnings

import numpy as np
import pytest
from scipy.special import expit

import pluralism as pl
from pluralism.data import Comparisons, Items
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.models import IdealPoint, PromptIdealPoint
from pluralism.testing import check_preference_model
from pluralism.testing.battery import CHECKS

QUICK = {"ridge": 0.3, "concentration": 0.5, "blocks": "item", "n_init": 2, "latent_dim": 3}


def turning_tastes(seed, *, n_users=80, n_answers=40, described=True, bent=False):
    """Two camps whose ideal answer is on opposite sides, and which side depends on the prompt.

    Where it is bent, places are squares of the features.
    """
    rng = np.random.default_rng([13, seed])
    n_prompts, each = 40, 10
    context = rng.normal(size=(n_prompts, 2))
    prompt = np.repeat(np.arange(n_prompts), each)
    x = rng.normal(size=(len(prompt), 3))
    items = Items(
        ids=[f"i{k}" for k in range(len(prompt))],
        texts=[f"answer {k}" for k in range(len(prompt))],
        prompts=[f"question {c}" for c in prompt],
        features=x,
        feature_space="test",
    )
    x = x**2 - 1.0 if bent else x
    if described:
        items = items.with_prompt_features(context)
    camp = rng.integers(2, size=n_users)
    user = np.repeat(np.arange(n_users), n_answers)
    asked = rng.integers(n_prompts, size=len(user))
    left = asked * each + rng.integers(each, size=len(user))
    right = asked * each + (left - asked * each + 1 + rng.integers(each - 1, size=len(user))) % each
    goal = np.zeros((2, n_prompts, 3))
    goal[0, :, 0], goal[1, :, 1] = 1.5 * context[:, 0], 1.5 * context[:, 1]
    ideal = goal[camp[user], asked]
    z = np.sum((x[right] - ideal) ** 2, axis=1) - np.sum((x[left] - ideal) ** 2, axis=1)
    outcome = (rng.random(len(user)) < expit(z)).astype(float)
    return Comparisons.from_arrays(left, right, user=user, outcome=outcome, items=items), camp


def nll(p, data):
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return -float(np.mean(data.outcome * np.log(p) + (1 - data.outcome) * np.log(1 - p)))


def camps_found(model, camp):
    found = model.membership().labels
    return max(np.mean(found == camp), np.mean(found != camp))


@pytest.mark.slow
def test_ideal_points_that_move_with_the_prompt_are_found_over_seeds():
    for seed in range(5):
        data, camp = turning_tastes(seed)
        train, test = data.split(test=0.25, by="row", rng=0)
        model = PromptIdealPoint(n_prototypes=2, **QUICK).fit(train)
        still = IdealPoint(n_prototypes=2, **QUICK).fit(train)
        assert nll(model.predict_proba(test), test) < nll(still.predict_proba(test), test) - 0.05
        assert camps_found(model, camp) > 0.95
        assert model.scale_ is None


@pytest.mark.slow
def test_few_answers_never_do_worse_than_none():
    gain = []
    for seed in range(4):
        data, _ = turning_tastes(seed, n_users=160, n_answers=30)
        model = PromptIdealPoint(n_prototypes=2, **QUICK).fit(data.take(data.user < 80).compact())
        others = data.take(data.user >= 80)
        rank = np.arange(len(others)) - np.searchsorted(others.user, others.user)
        query = others.take(rank >= 5)
        loss = [
            nll(model.predict_proba(query, membership=model.adapt(others.take(rank < n))), query) for n in (0, 2, 3, 5)
        ]
        gain.append([loss[0] - later for later in loss[1:]])
    assert np.min(gain) > 0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))])
def test_a_hidden_layer_finds_places_that_no_line_leads_to(tmp_path, seed):
    data, camp = turning_tastes(seed, n_answers=100, bent=True)
    train, test = data.split(test=0.25, by="row", rng=0)
    options = QUICK | {"n_prototypes": 2, "tol": 1e-6}
    line = PromptIdealPoint(**options).fit(train)
    deep = PromptIdealPoint(map="mlp", hidden=64, **options).fit(train)
    still = IdealPoint(map="mlp", hidden=64, **options).fit(train)
    found = nll(deep.predict_proba(test), test)
    assert found < nll(line.predict_proba(test), test) - 0.1
    assert found < nll(still.predict_proba(test), test) - 0.05
    assert camps_found(deep, camp) > 0.95
    items, prompts = data.items, np.asarray(data.items.prompt_features)
    goal = deep.prototypes_[:, None] + (prompts - deep.prompt_center_) @ np.swapaxes(deep.prompt_maps_, 1, 2)
    f, codes = deep.embed(items), items.prompt_codes()
    distance = ((f[:, None] - np.swapaxes(goal, 0, 1)[codes]) ** 2).sum(axis=2)
    square = (np.swapaxes(goal, 0, 1)[codes] ** 2).sum(axis=2)
    np.testing.assert_allclose(deep.reward(items), square - distance, atol=1e-8)
    deep.save(tmp_path)
    np.testing.assert_array_equal(pl.load(tmp_path).predict_proba(test), deep.predict_proba(test))


@pytest.mark.slow
def test_angles_find_the_camps_of_distances_in_most_seeds():
    found = []
    for seed in range(5):
        data, camp = turning_tastes(seed)
        model = PromptIdealPoint(n_prototypes=2, loss="angle", **QUICK).fit(data)
        assert model.scale_ is not None
        found.append(camps_found(model, camp))
    assert np.sum(np.array(found) > 0.95) >= 4


def turning_angles(seed, *, n_users=80, n_answers=40, scale=5.0):
    """Two camps who judge by the cosine between an answer and a direction, which turns with the prompt."""
    rng = np.random.default_rng([13, 70, seed])
    data, camp = turning_tastes(seed, n_users=n_users, n_answers=n_answers)
    x, codes = np.asarray(data.items.features), data.items.prompt_codes()
    goal = rng.normal(size=(2, 1, 3)) + data.items.prompt_features @ rng.normal(size=(2, 2, 3))
    goal /= np.linalg.norm(goal, axis=2, keepdims=True)
    cosine = np.einsum("ij,kij->ik", x / np.linalg.norm(x, axis=1, keepdims=True), goal[:, codes])
    own = camp[data.user]
    z = scale * (cosine[data.left, own] - cosine[data.right, own])
    outcome = (rng.random(len(z)) < expit(z)).astype(float)
    answers = Comparisons.from_arrays(data.left, data.right, user=data.user, outcome=outcome, items=data.items)
    return answers, camp, cosine, expit(z)


@pytest.mark.slow
def test_angles_are_recovered_over_seeds():
    for seed in range(5):
        data, camp, cosine, _ = turning_angles(seed)
        model = PromptIdealPoint(n_prototypes=2, loss="angle", **(QUICK | {"ridge": 0.1, "tol": 1e-6})).fit(data)
        assert camps_found(model, camp) > 0.95
        # what a camp makes of the answers to one prompt, but for a constant
        found = model.user_reward(data.items)
        codes = data.items.prompt_codes()
        middle = np.array([found[codes == c].mean(axis=0) for c in range(40)])[codes]
        wanted = cosine - np.array([cosine[codes == c].mean(axis=0) for c in range(40)])[codes]
        own = [np.corrcoef((found - middle)[:, u], wanted[:, camp[u]])[0, 1] for u in range(len(camp))]
        assert np.mean(own) > 0.85


@pytest.mark.slow
def test_angles_predict_answers_by_angle_better_than_distances_do():
    gain, regret = [], []
    for seed in range(5):
        data, _, _, truth = turning_angles(seed)
        held = np.random.default_rng([13, 80, seed]).random(len(data)) < 0.25
        train, test = data.take(~held), data.take(held)
        options = QUICK | {"ridge": 0.1, "tol": 1e-6}
        angle, distance = (
            nll(PromptIdealPoint(n_prototypes=2, loss=loss, **options).fit(train).predict_proba(test), test)
            for loss in ("angle", "distance")
        )
        gain.append(distance - angle)
        regret.append(angle - nll(truth[held], test))
    assert np.mean(gain) > 0
    assert np.max(regret) < 0.05


def test_rewards_are_distances_to_where_the_prompt_puts_the_prototypes():
    data, _ = turning_tastes(1)
    model = PromptIdealPoint(n_prototypes=2, **QUICK).fit(data)
    items = data.items
    f = (items.features - model.center_) @ model.map_.T
    context = items.prompt_features[items.prompt_codes()] - model.prompt_center_
    goal = model.prototypes_ + np.einsum("klc,ic->ikl", model.prompt_maps_, context)
    distance = np.sum((f[:, None] - goal) ** 2, axis=2)
    gap = distance[data.right] - distance[data.left]
    np.testing.assert_allclose(model.predict_group_proba(data), expit(gap), atol=1e-9)


def test_without_prompts_it_is_pal_a_and_says_so():
    data, _ = turning_tastes(2)
    bare = data.with_items(Items(ids=data.items.ids, features=data.items.features, feature_space="test"))
    with pytest.warns(DataWarning, match="no prompts"):
        model = PromptIdealPoint(n_prototypes=2, **QUICK).fit(bare)
    plain = IdealPoint(n_prototypes=2, **QUICK).fit(bare)
    np.testing.assert_allclose(model.predict_proba(bare), plain.predict_proba(bare), atol=1e-9)


def test_prompts_without_features_are_described_by_their_items_and_that_is_said(tmp_path):
    data, _ = turning_tastes(3, described=False)
    with pytest.warns(DataWarning, match="mean of its items"):
        model = PromptIdealPoint(n_prototypes=2, **QUICK).fit(data)
    some = np.arange(0, data.n_items, 7)
    np.testing.assert_allclose(model.reward(data.items.take(some)), model.reward(data.items)[some], atol=1e-9)
    new = Items(ids=["n"], texts=["new"], prompts=["never asked"], features=np.ones((1, 3)), feature_space="test")
    assert np.isfinite(model.reward(new)).all()
    model.save(tmp_path)
    np.testing.assert_array_equal(pl.load(tmp_path).reward(data.items), model.reward(data.items))


@pytest.mark.parametrize("loss", ["distance", pytest.param("angle", marks=pytest.mark.slow)])
def test_save_and_load(tmp_path, loss):
    data, _ = turning_tastes(4, n_users=20)
    model = PromptIdealPoint(n_prototypes=2, loss=loss, **QUICK).fit(data)
    model.save(tmp_path)
    loaded = pl.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(data), model.predict_proba(data))
    np.testing.assert_array_equal(loaded.control_.reward(data.items), model.control_.reward(data.items))


@pytest.mark.parametrize("loss", ["distance", "angle"])
def test_gradients(loss):
    from pluralism.models.preparation import prepare
    from pluralism.solvers.angle_table import AngleTable
    from pluralism.solvers.centred_features import CentredFeatures
    from pluralism.solvers.ideal_table import IdealTable
    from pluralism.solvers.prototypes import _Profile

    data, _ = turning_tastes(5, n_users=10, n_answers=10)
    problem = prepare(data, (), position_bias=False).problem
    rng = np.random.default_rng([13, 99])
    features = CentredFeatures.of(problem.features, np.arange(problem.n_items))
    kind = AngleTable if loss == "angle" else IdealTable
    table = kind(features, 2, 3, 0.2, prompts=rng.normal(size=(problem.n_items, 2)))
    objective = _Profile(problem, table, np.array([0.5, 1.0]))
    x = 0.5 * rng.normal(size=table.size)
    _, gradient = objective(x)
    numeric = [(objective(x + s)[0] - objective(x - s)[0]) / 2e-6 for s in 1e-6 * np.eye(table.size)]
    np.testing.assert_allclose(gradient, numeric, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize("loss", ["distance", pytest.param("angle", marks=pytest.mark.slow)])
def test_battery(loss):
    options = QUICK | {"ridge": 0.3 if loss == "distance" else 0.05}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        results = check_preference_model(PromptIdealPoint(n_prototypes=2, loss=loss, **options), raise_on_failure=True)
    assert sum(result.passed for result in results) == 60


@pytest.mark.slow
def test_battery_with_a_hidden_layer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model = PromptIdealPoint(n_prototypes=2, map="mlp", hidden=8, **QUICK)
        # on the few answers of the battery the order of batches and rounding move predictions by .15
        checks = [name for name in CHECKS if not name.startswith("half_precision")]
        results = check_preference_model(model, checks=checks, tolerance=0.2, raise_on_failure=True)
    assert sum(result.passed for result in results) == 59


def test_errors_say_what_to_do():
    data, _ = turning_tastes(6, n_users=4)
    wrong = {"loss": "hinge", "map": "identity", "hidden": 0}
    for name, value in wrong.items():
        with pytest.raises(UsageError, match=name):
            PromptIdealPoint(**{name: value}).fit(data)
    with pytest.raises(UsageError, match="what distances leave over"):
        PromptIdealPoint(map="mlp", loss="angle").fit(data)
    across = Comparisons.from_arrays([0, 1], [399, 2], user=[0, 0], outcome=[1, 1], items=data.items)
    with pytest.raises(DataError, match="two different prompts"):
        PromptIdealPoint().fit(across)
    model = PromptIdealPoint(n_prototypes=1, **QUICK).fit(data)
    bare = Items(ids=["n"], texts=["new"], prompts=["why?"], features=np.ones((1, 3)), feature_space="test")
    with pytest.raises(DataError, match="features of their prompts"):
        model.reward(bare)
    with pytest.raises(DataError, match="fitted on 2"):
        model.reward(bare.with_prompt_features(np.ones((1, 5))))
