"""People who answer with a temperature of their own, or now and then at random: learnt with the groups."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

import pluralism as pl
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import UsageError
from pluralism.models import MixtureBradleyTerry, RewardEnsemble


def test_user_temperatures_follow_the_noise_of_the_user():
    sim = simulate_mixture(n_users=60, n_groups=1, n_items=100, dim=6, pairs_per_user=60, scale=3.0, rng=6)
    data = sim.comparisons
    outcome = data.outcome.copy()
    careless = data.user < 20
    coin = np.random.default_rng([6, 6])
    outcome[careless] = coin.integers(2, size=int(careless.sum()))
    data = pl.Comparisons.from_arrays(
        data.left, data.right, user=[f"u{u:02d}" for u in data.user], outcome=outcome, items=data.items
    )
    model = MixtureBradleyTerry(n_groups=1, ridge=0.3, item_effects=False, user_temperature=True).fit(data)
    labels = np.array(model.users_.to_pylist())
    temperature = dict(zip(labels, model.user_temperature_, strict=True))
    noisy = np.mean([temperature[f"u{u:02d}"] for u in range(20)])
    careful = np.mean([temperature[f"u{u:02d}"] for u in range(20, 60)])
    assert noisy < 0.6 * careful


ANNOTATED = {"user_temperature": True, "user_lapse": True}


def answers_of(seed, *, n_users=150, lapse=None, log_temperature=None, pairs_per_user=30, scale=4.0):
    """Two groups, whose people answer as they are told: train, test, the simulation."""
    sim = simulate_mixture(
        n_users=n_users,
        n_groups=2,
        n_items=200,
        dim=8,
        pairs_per_user=pairs_per_user,
        scale=scale,
        group_weights=[0.65, 0.35],
        rng=seed,
    )
    data, truth = sim.comparisons, sim.truth
    rng = np.random.default_rng([seed, 71])
    z = truth.item_rewards[data.left, truth.groups[data.user]] - truth.item_rewards[data.right, truth.groups[data.user]]
    e = np.zeros(n_users) if lapse is None else lapse
    t = np.zeros(n_users) if log_temperature is None else log_temperature
    p = (1 - e[data.user]) * expit(np.exp(t[data.user]) * z) + e[data.user] / 2
    data = data._replace(outcome=(rng.random(len(data)) < p).astype(float))
    return *data.split(test=0.3, by="row", rng=0), sim


def nll(model, data, **given):
    p = model.predict_proba(data, **given)
    return -np.mean(np.log(np.where(data.outcome > 0.5, p, 1 - p)))


def by_user(model, values, data):
    """Values of training users in the order of the vocabulary."""
    return values[model.membership(data).index(data.users)]


def test_random_clickers_are_known_and_no_longer_blunt_the_groups():
    """A fifth of the people toss a coin: over five seeds they are found, and heads and predictions are better."""
    sharper, gain = [], []
    for seed in range(5):
        clicks = np.random.default_rng([seed, 72]).permutation(150) < 30
        train, test, sim = answers_of(seed, lapse=clicks.astype(float))
        settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False, "uncertainty": False}
        plain = MixtureBradleyTerry(**settings).fit(train)
        model = MixtureBradleyTerry(**settings, user_lapse=True).fit(train)
        lapse = by_user(model, model.user_lapse_, train)
        assert lapse[clicks].mean() > 0.8
        assert lapse[~clicks].mean() < 0.05
        assert np.mean((lapse > 0.5) == clicks) > 0.97
        np.testing.assert_allclose(
            model.annotator_shares_.sum(axis=0)[model.annotator_lapse_ > 0.4].sum(), 0.2, atol=0.05
        )
        honest = test.take(~clicks[test.user])
        gain.append(nll(plain, honest) - nll(model, honest))
        errors = []
        for fit in (plain, model):
            reward, truth = fit.reward(train.items), sim.truth.item_rewards
            order = np.argsort([np.corrcoef(reward[:, k], truth[:, 0])[0, 1] for k in range(2)])[::-1]
            centred = (reward - reward.mean(axis=0))[:, order] - (truth - truth.mean(axis=0))
            errors.append(np.sqrt(np.mean(centred**2)))
        sharper.append(errors[1] / errors[0])
    assert min(gain) > 0.03
    assert max(sharper) < 0.8


def test_temperatures_and_lapses_cost_nothing_where_people_have_neither():
    difference = []
    for seed in range(5):
        train, test, _ = answers_of(seed, pairs_per_user=20)
        settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False, "uncertainty": False}
        plain = nll(MixtureBradleyTerry(**settings).fit(train), test)
        model = MixtureBradleyTerry(**settings, **ANNOTATED).fit(train)
        difference.append(nll(model, test) - plain)
        assert model.user_lapse_.mean() < 0.03
        assert np.std(np.log(model.user_temperature_)) < 0.05
    assert np.mean(difference) < 5e-4
    assert max(difference) < 4e-3


def test_the_spread_of_temperatures_is_recovered_and_people_are_shrunk():
    for seed, sd in ((0, 0.4), (1, 0.7)):
        t = sd * np.random.default_rng([seed, 73]).normal(size=150)
        train, test, _ = answers_of(seed, log_temperature=t, pairs_per_user=60, scale=3.0)
        settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False, "uncertainty": False}
        model = MixtureBradleyTerry(**settings, user_temperature=True).fit(train)
        found = np.log(by_user(model, model.user_temperature_, train))
        assert np.sqrt(model.adapt(train.take(np.zeros(0, int))).covariance[0, 0, 0]) == pytest.approx(sd, abs=0.12)
        assert np.corrcoef(found, t)[0, 1] > 0.7
        assert found.std() < t.std()
        assert nll(model, test) < nll(MixtureBradleyTerry(**settings).fit(train), test) - 0.003


@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_newcomers_are_placed_as_training_users_with_how_they_answer(ties, tmp_path):
    e = np.where(np.arange(120) % 4 == 0, 0.9, 0.0)
    train, test, _ = answers_of(7, n_users=120, lapse=e)
    if ties == "davidson":
        train = train._replace(outcome=np.where(np.arange(len(train)) % 7 == 0, 0.5, train.outcome))
    settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False, "ties": ties}
    model = MixtureBradleyTerry(**settings, **ANNOTATED).fit(train)
    placed, trained = model.adapt(train), model.membership(train)
    rows = placed.index(trained.users)
    for name in ("posterior", "position", "covariance"):
        np.testing.assert_allclose(getattr(placed, name)[rows], getattr(trained, name), atol=1e-6)
    strangers = test._replace(users=pa.array([f"new {k}" for k in range(test.n_users)], pa.large_string()))
    if ties == "half":
        nobody = model.predict_group_proba(strangers) @ model.group_weights_
        np.testing.assert_allclose(model.predict_proba(strangers), nobody, atol=1e-9)
    among = model.adapt(train._replace(users=strangers.users))
    np.testing.assert_allclose(model.predict_proba(strangers, membership=among), model.predict_proba(test), atol=1e-5)
    if ties == "davidson":
        tied = model.predict_tie_proba(train)
        assert tied.mean() == pytest.approx(1 / 7, abs=0.03)
    model.save(tmp_path / "run")
    loaded = pl.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(test), model.predict_proba(test))
    np.testing.assert_array_equal(loaded.adapt(train).position, placed.position)
    np.testing.assert_array_equal(loaded.user_lapse_, model.user_lapse_)
    np.testing.assert_array_equal(loaded.reward_std(train.items), model.reward_std(train.items))


@pytest.mark.slow
def test_clickers_are_no_group_of_their_own():
    """With lapses two groups are chosen, where without them the clickers ask for a third."""
    clicks = np.random.default_rng(74).permutation(150) < 45
    train, _, _ = answers_of(3, lapse=clicks.astype(float))
    settings = {"ridge": 0.3, "item_effects": False, "max_groups": 4, "n_init": 2, "uncertainty": False}
    assert MixtureBradleyTerry(**settings, user_lapse=True).fit(train).n_groups_ == 2
    assert MixtureBradleyTerry(**settings).fit(train).n_groups_ > 2


def test_criteria_count_the_population_and_the_fit_of_lapses_wins_where_people_lapse():
    clicks = np.random.default_rng(75).permutation(150) < 30
    for lapse, better in ((clicks.astype(float), True), (None, False)):
        train, _, _ = answers_of(8, lapse=lapse)
        settings = {"n_groups": 2, "ridge": 0.3, "item_effects": False}
        plain, model = (MixtureBradleyTerry(**settings, user_lapse=on).fit(train) for on in (False, True))
        assert (model.bic_ < plain.bic_) == better
        assert model.log_likelihood_ >= plain.log_likelihood_ - 0.5


def test_people_who_answer_differently_are_no_members_of_ensembles():
    train, _, _ = answers_of(9, n_users=20)
    base = MixtureBradleyTerry(n_groups=1, ridge=1.0, item_effects=False, user_lapse=True)
    with pytest.raises(UsageError, match="answer"):
        RewardEnsemble(base=base, n_members=1).fit(train)
