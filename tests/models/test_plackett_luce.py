import itertools
import warnings
from collections import Counter

import numpy as np
import polars
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp, softmax

import pluralism
from pluralism.data import Comparisons, Items, Rankings, Ratings
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import ComponentWarning, DataError, SeparationError, SeparationWarning, UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry, PlackettLuce
from pluralism.testing import check_preference_model


def draw(scores, group, rng, *, top=None, features=None):
    """One full ballot (or its top) a voter, by the Gumbel trick; item j has the id "j"."""
    n_items = len(scores)
    order = np.argsort(-(scores[:, group].T + rng.gumbel(size=(len(group), n_items))), axis=1)
    size = n_items if top is None else top
    return Rankings(
        items=Items(
            ids=[str(j) for j in range(n_items)], features=features, feature_space=features is not None and "t"
        ),
        users=[f"v{u}" for u in range(len(group))],
        user=np.arange(len(group)),
        indptr=size * np.arange(len(group) + 1),
        item=order[:, :size].ravel(),
        rank=np.tile(np.arange(size), len(group)),
    )


def quiet_fit(model, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(data)


def agreement(found, truth, n_groups):
    table = np.zeros((n_groups, n_groups))
    np.add.at(table, (found, truth), 1)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum() / len(truth), rows[np.argsort(columns)]


def test_battery():
    results = check_preference_model(PlackettLuce(n_groups=2, ridge=1.0, item_effects=False, n_init=2))
    assert [str(r) for r in results if r.status == "failed"] == []
    assert [r.name for r in results if r.status == "skipped"] == []
    assert sum(r.passed for r in results) == len(results) >= 55


def test_pairs_are_bradley_terry():
    sim = simulate_mixture(n_users=20, n_groups=1, n_items=30, dim=3, pairs_per_user=20, ties=0.2, scale=2.0, rng=0)
    data = sim.comparisons
    graded = Comparisons(**{**vars(data), "outcome": np.where(np.arange(len(data)) % 5 == 0, 0.7, data.outcome)})
    bare = graded.with_items(Items(ids=graded.items.ids))
    for other, settings in ((graded, {"item_effects": False}), (bare, {})):
        pl = quiet_fit(PlackettLuce(n_groups=1, ridge=0.7, tol=1e-13, **settings), other)
        bt = quiet_fit(BradleyTerry(ridge=0.7, tol=1e-13, **settings), other)
        assert pl.objective_ == pytest.approx(bt.objective_, rel=1e-9)
        np.testing.assert_allclose(pl.predict_proba(other), bt.predict_proba(other), atol=1e-5)
        np.testing.assert_allclose(pl.reward_std(other.items), bt.reward_std(other.items), rtol=2e-2)


def test_a_mixture_on_pairs_is_the_mixture_of_bradley_terry():
    sim = simulate_mixture(n_users=60, n_groups=2, n_items=40, dim=4, pairs_per_user=20, scale=4.0, rng=1)
    pl = PlackettLuce(n_groups=2, ridge=1.0, item_effects=False, tol=1e-12).fit(sim.comparisons)
    bt = MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, tol=1e-12).fit(sim.comparisons)
    assert pl.objective_ == pytest.approx(bt.objective_, rel=1e-8)
    np.testing.assert_allclose(pl.posterior_, bt.posterior_, atol=1e-4)
    np.testing.assert_allclose(pl.adapt(sim.comparisons).posterior, bt.adapt(sim.comparisons).posterior, atol=1e-4)


def test_two_orders_have_the_closed_form():
    # three ballots tea > milk, one milk > tea: log odds of log 3 without a prior
    ballots = Rankings.from_lists([["tea", "milk"], ["milk", "tea"]], weight=[3.0, 1.0])
    model = quiet_fit(PlackettLuce(n_groups=1, ridge=0), ballots)
    first = model.top_choice_proba(ballots.items)[:, 0]
    np.testing.assert_allclose(sorted(first), [0.25, 0.75], atol=1e-4)
    assert model.predict_ranking(ballots.items).to_lists() == [[["tea"], ["milk"]]]
    np.testing.assert_allclose(np.exp(model.log_likelihood(ballots)), [0.75, 0.25], atol=1e-4)


def test_log_likelihood_over_all_orders_sums_to_one():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 2))
    data = draw(scores, rng.integers(2, size=60), rng)
    model = quiet_fit(PlackettLuce(n_groups=2, ridge=0.1), data)
    orders = list(itertools.permutations(range(4)))
    all_orders = Rankings.from_lists(
        [[str(i) for i in order] for order in orders], items=data.items, user=[f"new {k}" for k in range(len(orders))]
    )
    assert np.exp(model.log_likelihood(all_orders)).sum() == pytest.approx(1.0)
    sure = model.adapt(all_orders)
    reward = model.reward(data.items)
    by_hand = np.array(
        [[sum(reward[o[j], k] - logsumexp(reward[list(o[j:]), k]) for j in range(4)) for k in range(2)] for o in orders]
    )
    np.testing.assert_allclose(sure.posterior, softmax(by_hand + np.log(model.group_weights_), axis=1), atol=1e-9)
    assert (sure.n == 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_planted_groups_are_found(seed):
    rng = np.random.default_rng([seed, 77])
    scores = 1.5 * rng.normal(size=(8, 3))
    group = rng.choice(3, size=900, p=[0.5, 0.3, 0.2])
    data = draw(scores, group, rng, top=6)
    model = quiet_fit(PlackettLuce(n_groups=3, unlisted="below", ridge=0.1), data)
    ceiling = np.mean(np.argmax(_posterior_of_truth(data, scores, np.bincount(group) / 900), axis=1) == group)
    found, match = agreement(model.posterior_.argmax(axis=1), group, 3)
    assert found > ceiling - 0.03
    for k in range(3):
        assert np.corrcoef(model.reward(data.items)[:, match[k]], scores[:, k])[0, 1] > 0.97


def _posterior_of_truth(data, scores, shares):
    evidence = np.zeros((len(data), scores.shape[1]))
    items = data.item.reshape(len(data), -1)
    everything = np.exp(scores).sum(axis=0)
    gone = np.zeros_like(evidence)
    for j in range(items.shape[1]):
        evidence += scores[items[:, j]] - np.log(everything - gone)
        gone += np.exp(scores[items[:, j]])
    return softmax(evidence + np.log(shares), axis=1)


def test_the_number_of_groups_is_chosen():
    rng = np.random.default_rng(8)
    for n_groups in (1, 2):
        scores = 1.5 * rng.normal(size=(7, n_groups))
        data = draw(scores, rng.integers(n_groups, size=500), rng)
        model = quiet_fit(PlackettLuce(max_groups=4), data)
        assert model.n_groups_ == n_groups
        assert [row["chosen"] for row in model.selection_].count(True) == 1


def test_features_carry_rewards_to_items_nobody_ranked():
    rng = np.random.default_rng(9)
    features = rng.normal(size=(40, 5))
    head = rng.normal(size=5)
    order = [rng.permutation(30)[:6] for _ in range(200)]
    ranked = [sorted(o, key=lambda i: -(features[i] @ head + rng.gumbel())) for o in order]
    items = Items(ids=[str(j) for j in range(40)], features=features, feature_space="t")
    data = Rankings.from_lists([[str(i) for i in ballot] for ballot in ranked], items=items)
    model = quiet_fit(PlackettLuce(n_groups=1), data)
    assert model.dim_ == 5
    assert model.blocks_ == "voter"
    assert np.corrcoef(model.reward(items)[30:, 0], features[30:] @ head)[0, 1] > 0.97
    np.testing.assert_allclose(model.coef_[0], head, atol=5 * np.sqrt(np.diag(model.covariance_[0]))[:5].max())


def test_ratings_are_ballots_of_their_order():
    ratings = Ratings.from_frame(
        {"user": ["a"] * 3 + ["b"] * 3, "item": ["x", "y", "z"] * 2, "value": [3, 1, 1, 2, 5, 1]}
    )
    ballots = Rankings.from_lists([["x", ["y", "z"]], ["y", "x", "z"]], user=["a", "b"])
    left = quiet_fit(PlackettLuce(n_groups=1, ridge=1.0), ratings)
    right = quiet_fit(PlackettLuce(n_groups=1, ridge=1.0), ballots)
    assert left.objective_ == pytest.approx(right.objective_)


def test_counts_are_people_and_repeated_users_are_not():
    lists = [["a", "b", "c"], ["c", "b", "a"]]
    counted = quiet_fit(PlackettLuce(n_groups=2, ridge=1.0), Rankings.from_lists(lists, weight=[4.0, 2.0]))
    spelled = quiet_fit(PlackettLuce(n_groups=2, ridge=1.0), Rankings.from_lists([lists[0]] * 4 + [lists[1]] * 2))
    assert counted.objective_ == pytest.approx(spelled.objective_, rel=1e-6)
    one = quiet_fit(PlackettLuce(n_groups=2, ridge=1.0), Rankings.from_lists([lists[0]] * 4, user=["u"] * 4))
    assert one.n_answers_.tolist() == [4]


def test_unlisted_items_say_nothing_or_are_below():
    ballots = Rankings.from_lists([["a"], ["a"], ["b"], ["c", "b"]])
    with pytest.raises(DataError, match="unlisted"):
        PlackettLuce(n_groups=1).fit(ballots.take([0, 1, 2]))
    below = quiet_fit(PlackettLuce(n_groups=1, ridge=0.01, unlisted="below"), ballots)
    reward = dict(zip(ballots.items.ids.to_pylist(), below.reward(ballots.items)[:, 0], strict=True))
    assert max(reward, key=reward.get) == "a" or max(reward, key=reward.get) != "b"
    full = Rankings.from_lists([["a", ["b", "c"]], ["a", ["b", "c"]], ["b", ["a", "c"]], ["c", "b", "a"]])
    assert below.objective_ == pytest.approx(quiet_fit(PlackettLuce(n_groups=1, ridge=0.01), full).objective_)


def test_undefeated_items_and_parts_are_flagged_or_refused():
    ballots = Rankings.from_lists([["a", "b", "c"], ["a", "c", "b"]])
    with pytest.warns(SeparationWarning, match="never lost"):
        model = PlackettLuce(n_groups=1, ridge=1.0).fit(ballots)
    assert np.isfinite(model.reward(ballots.items)).all()
    with pytest.raises(SeparationError, match="not connected"):
        PlackettLuce(n_groups=1, ridge=0).fit(ballots)
    apart = Rankings.from_lists([["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"]])
    with pytest.warns(ComponentWarning, match="2 parts"):
        PlackettLuce(n_groups=1, ridge=1.0).fit(apart)


def test_saved_and_loaded_and_resumed(tmp_path):
    rng = np.random.default_rng(10)
    data = draw(rng.normal(size=(5, 2)), rng.integers(2, size=80), rng)
    model = quiet_fit(PlackettLuce(n_groups=2), data)
    model.save(tmp_path / "saved")
    loaded = pluralism.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.log_likelihood(data), model.log_likelihood(data))
    np.testing.assert_array_equal(loaded.adapt(data).posterior, model.adapt(data).posterior)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = PlackettLuce(n_groups=2).fit(data, checkpoint=tmp_path / "pieces")
        np.testing.assert_array_equal(again.posterior_, model.posterior_)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_groups", 0),
        ("max_groups", 1.5),
        ("unlisted", "above"),
        ("ridge", -1.0),
        ("item_effects", "some"),
        ("n_init", 0),
        ("concentration", 0.5),
        ("tol", 0.0),
    ],
)
def test_settings_that_cannot_work_are_named(setting, value):
    with pytest.raises(UsageError, match=setting):
        PlackettLuce(**{setting: value}).fit(Rankings.from_lists([["a", "b"]]))


def test_other_data_are_refused():
    with pytest.raises(DataError, match="takes rankings"):
        PlackettLuce(n_groups=1).fit([["a", "b"]])
    ratings = Ratings.from_frame({"user": ["a"] * 2, "item": ["x", "y"], "value": [1, 2], "attribute": ["p", "q"]})
    with pytest.raises(DataError, match="attributes"):
        PlackettLuce(n_groups=1).fit(ratings)
    model = quiet_fit(PlackettLuce(n_groups=1), Rankings.from_lists([["a", "b"], ["b", "a"]]))
    with pytest.raises(UsageError, match="tie"):
        model.predict_tie_proba(Comparisons.from_arrays(["a"], ["b"], user=["u"]))


def election(folder, name):
    ballots = polars.read_parquet(folder / "preflib" / "ballots.parquet").filter(polars.col("election_id") == name)
    counts = Counter()
    for ranking, count in zip(ballots["ranking"].to_list(), ballots["count"].to_list(), strict=True):
        counts[tuple(tuple(str(i) for i in group) for group in ranking if group)] += count
    return Rankings.from_lists([list(map(list, b)) for b in counts], weight=[float(c) for c in counts.values()])


def plain_em(rankings, n_groups, seed, *, n_iter=400):
    """EM with Hunter's MM for strict ballots, one start; returns the log-likelihood (no prior, items below ignored)."""
    rng = np.random.default_rng(seed)
    n_items, lengths = rankings.n_items, np.diff(rankings.indptr)
    width = int(lengths.max())
    order = np.full((len(rankings), width), n_items)
    order[np.repeat(np.arange(len(rankings)), lengths), np.concatenate([np.arange(n) for n in lengths])] = rankings.item
    listed, chosen = order < n_items, np.arange(width) < lengths[:, None] - 1
    strength, shares = np.exp(rng.normal(size=(n_items, n_groups))), np.full(n_groups, 1.0 / n_groups)
    last = -np.inf
    for _ in range(n_iter):
        padded = np.vstack([strength, np.zeros(n_groups)])[order]
        left = np.cumsum(padded[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            stage = np.where(chosen[..., None], np.log(padded) - np.log(left), 0.0)
        joint = stage.sum(axis=1) + np.log(shares)
        total = logsumexp(joint, axis=1)
        value = float(rankings.weight @ total)
        if value - last < 1e-7 * abs(value):
            break
        last = value
        posterior = np.exp(joint - total[:, None]) * rankings.weight[:, None]
        shares = posterior.sum(axis=0) / posterior.sum()
        reach = np.cumsum(np.where(chosen[..., None], 1.0 / np.maximum(left, 1e-300), 0.0), axis=1) * posterior[:, None]
        for k in range(n_groups):
            wins = np.bincount(order[chosen], np.repeat(posterior[:, k], lengths - 1), n_items + 1)[:n_items]
            spent = np.bincount(order[listed], reach[..., k][listed], n_items + 1)[:n_items]
            strength[:, k] = np.maximum(wins, 1e-12) / np.maximum(spent, 1e-300)
        strength /= strength.sum(axis=0)
    return value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_groups"), [("00009-00000001.soc", 2), ("00009-00000001.soc", 3), ("00028-00000001.soi", 3)]
)
def test_real_elections_reach_the_best_of_many_plain_em_runs(shared_data, name, n_groups):
    data = election(shared_data, name)
    # a ballot of one item says nothing to either
    data = data.take(np.diff(data.indptr) > 1)
    best = max(plain_em(data, n_groups, seed) for seed in range(20))
    model = quiet_fit(PlackettLuce(n_groups=n_groups, ridge=1e-3, concentration=1.0, n_init=8, uncertainty=False), data)
    assert model.log_likelihood_ > best - 0.1
