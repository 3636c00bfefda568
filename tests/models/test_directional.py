"""Directions over rated attributes: exact posteriors on small cases, planted truth, fronts, real ratings."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

import pluralism as pl
from pluralism.data import Comparisons, Items, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.models import DirectionalReward
from pluralism.models.attribute_ratings import attribute_labels
from pluralism.models.attribute_space import attribute_space, decorrelation
from pluralism.models.pareto import best_of_n, chebyshev, front, hypervolume, pareto_front
from pluralism.solvers.sphere_posterior import DirectionProblem, Population, place_directions
from pluralism.testing import check_preference_model


def planted(seed, n_attributes=3, n_answers=20, n_users=40, dim=8, n_items=200, n_prompts=None):
    rng = np.random.default_rng([seed, n_attributes, 61])
    features = rng.normal(size=(n_items, dim))
    value = features @ rng.normal(size=(dim, n_attributes)) / np.sqrt(dim)
    noisy = value + 0.3 * rng.normal(size=value.shape)
    seen = rng.random(value.shape) < 0.7
    item, attribute = np.nonzero(seen)
    prompts = None if n_prompts is None else [f"q{i % n_prompts}" for i in range(n_items)]
    ids = [str(i) for i in range(n_items)]
    items = Items(ids=ids, texts=None if prompts is None else ids, prompts=prompts).with_features(features, "simulated")
    names = ["helpfulness", "verbosity", "honesty", "wit"][:n_attributes]
    ratings = Ratings(items, ["r"], np.zeros(len(item), int), item, noisy[seen], attribute, names)
    centre = rng.normal(size=n_attributes)
    direction = centre / np.linalg.norm(centre) + 0.5 * rng.normal(size=(n_users, n_attributes))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    scaled = value / value.std(axis=0)
    z = 2.0 * np.sum(direction[user] * (scaled[left] - scaled[right]), axis=1)
    outcome = (rng.random(len(user)) < expit(z)).astype(float)
    people = [f"p{u}" for u in range(n_users)]
    made = Comparisons.from_arrays(left, right, user=user, users=people, outcome=outcome, items=items)
    return ratings, made, direction


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("concentration", [0.0, 4.0])
def test_posteriors_are_those_of_brute_force(k, concentration):
    rng = np.random.default_rng([k, 7])
    d = rng.normal(size=(8, k))
    problem = DirectionProblem(np.array([0, 8]), d, rng.integers(2, size=8).astype(float), np.ones(8))
    mu = np.ones(k) / np.sqrt(k)
    population = Population(mu, concentration, 0.4, 0.5)
    found = place_directions(problem, population, n_draws=8_000, rng=np.random.default_rng(0))
    v = rng.normal(size=(200_000, k))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    size = np.exp(0.4 + 0.5 * rng.normal(size=len(v)))
    log_w = concentration * (v @ mu)
    for row, outcome in zip(d, problem.outcome, strict=True):
        z = size * (v @ row)
        log_w += outcome * z - np.logaddexp(0, z)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    mean = w @ v
    np.testing.assert_allclose(found.mean[0], mean, atol=0.02)
    np.testing.assert_allclose(found.covariance[0], (v.T * w) @ v - np.outer(mean, mean), atol=0.02)
    assert found.ess[0] > 100


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_prior_has_the_moments_of_its_draws(k):
    from pluralism.solvers.sphere import mean_cosine, solve_concentration, von_mises_fisher

    rng = np.random.default_rng(k)
    mu = np.eye(k)[0]
    drawn = von_mises_fisher(mu, 3.0, rng.random(100_000), rng.normal(size=(100_000, k)))
    population = Population(mu, 3.0, 0.0, 1.0)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1.0)
    np.testing.assert_allclose(drawn.mean(axis=0), population.mean(), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False).reshape(k, k), population.covariance(), atol=0.01)
    assert solve_concentration(mean_cosine(3.0, k), k) == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("n_attributes", [2, 4])
def test_planted_directions_are_found_as_surely_as_they_say(n_attributes):
    cosines, lengths, gains = [], [], []
    for seed in range(5):
        ratings, comparisons, truth = planted(seed, n_attributes)
        model = DirectionalReward(rng=seed).fit(ratings, comparisons=comparisons)
        assert min(model.r2_) > 0.6
        unit = model.directions()
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0)
        cosines.append(np.sum(unit * truth, axis=1).mean())
        lengths.append(np.linalg.norm(model.position_, axis=1).mean())
        gains.append(cosines[-1] - (truth @ model.direction_).mean())
        assert model.ess_.min() > 20
        assert np.mean(np.sign(unit) == np.sign(truth)) > 0.8
    assert np.mean(cosines) > 0.88
    assert min(gains) > 0.02
    # E cos(direction, truth) is the length of the posterior mean
    assert abs(np.mean(cosines) - np.mean(lengths)) < 0.03


def test_adapting_to_the_training_answers_gives_the_training_positions():
    ratings, comparisons, _ = planted(1)
    model = DirectionalReward(ridge=1.0, n_draws=256).fit(ratings, comparisons=comparisons)
    placed = model.adapt(comparisons)
    np.testing.assert_allclose(placed.position, model.position_, atol=1e-9)
    np.testing.assert_allclose(placed.covariance, model.covariance_, atol=1e-9)
    few = model.adapt(comparisons.take(np.arange(len(comparisons)) % 20 < 3))
    assert np.linalg.norm(few.position, axis=1).mean() < np.linalg.norm(placed.position, axis=1).mean()


def test_without_comparisons_nobody_has_a_direction_until_answers_come():
    ratings, comparisons, truth = planted(2)
    model = DirectionalReward().fit(ratings)
    assert len(model.membership()) == 0
    np.testing.assert_allclose(model.predict_proba(comparisons), 0.5)
    placed = model.adapt(comparisons)
    assert np.sum(model.directions(placed) * truth, axis=1).mean() > 0.75
    p = model.predict_proba(comparisons, membership=placed)
    assert np.mean((p > 0.5) == (comparisons.outcome > 0.5)) > 0.7


def test_ratings_are_summed_up_exactly():
    rng = np.random.default_rng(0)
    n = 300
    items = Items(ids=[str(i) for i in range(12)]).with_features(rng.normal(size=(12, 3)), "x")
    ratings = Ratings(
        items,
        ["a", "b"],
        rng.integers(2, size=n),
        rng.integers(12, size=n),
        rng.normal(size=n),
        rng.integers(3, size=n),
        ["x", "y", "z"],
        weight=rng.integers(1, 3, size=n).astype(float),
    )
    labels = attribute_labels(ratings)
    model = DirectionalReward(ridge=0.7).fit(ratings)
    for k in range(3):
        rows = ratings.attribute == k
        x = np.column_stack([items.features[ratings.item[rows]], np.ones(rows.sum())])
        w = ratings.weight[rows][:, None]
        solved = np.linalg.solve(x.T @ (w * x) + np.diag([0.7, 0.7, 0.7, 0]), x.T @ (w[:, 0] * ratings.value[rows]))
        np.testing.assert_allclose(model.coef_[k], solved[:3], atol=1e-9)
        assert model.intercept_[k] == pytest.approx(solved[3])
        seen = ~np.isnan(labels.value[:, k])
        assert labels.weight[seen].sum() == pytest.approx(w.sum())


@pytest.mark.parametrize("by", ["spearman", "linear"])
def test_decorrelation_is_two_sided(by):
    rng = np.random.default_rng(1)
    verbosity = rng.normal(size=800)
    for slope in (0.8, -0.8):
        value = slope * verbosity + rng.standard_t(3, size=800)
        p = decorrelation(value, verbosity, by)
        left = value - p * verbosity
        rest = spearmanr(left, verbosity)[0] if by == "spearman" else np.corrcoef(left, verbosity)[0, 1]
        assert abs(rest) < 2e-3
        assert np.sign(p) == np.sign(slope)
    mean, matrix = attribute_space(np.column_stack([verbosity + value, verbosity, value]), against=1, by=by)
    left = (np.column_stack([verbosity + value, verbosity, value]) - mean) @ matrix.T
    np.testing.assert_allclose(left.std(axis=0), 1.0)


def test_whitened_coordinates_are_uncorrelated():
    ratings, _, _ = planted(3)
    model = DirectionalReward(whiten=True, ridge=1.0).fit(ratings)
    spread = np.cov(model.coordinates(ratings.items.take(np.unique(ratings.item))), rowvar=False, bias=True)
    np.testing.assert_allclose(spread, np.eye(3), atol=1e-8)


def test_best_of_n_ranks_and_prompts_follow_the_direction():
    ratings, _, _ = planted(4, 2, n_prompts=20)
    model = DirectionalReward().fit(ratings)
    v = [0.9, -0.4]
    score = model.score(ratings.items, v)
    assert np.all(np.diff(score[model.rank(ratings.items, v)]) <= 0)
    best = model.best_of_n(ratings.items, v)
    prompt = ratings.items.prompt_codes()
    assert len(best) == 20
    for item in best:
        assert score[item] == score[prompt == prompt[item]].max()
    assert model.system_prompt(v, persona="Be brief.").endswith("helpfulness*91 + verbosity*-41")
    assert model.system_prompt([1, 1]).endswith("helpfulness*71 + verbosity*71")
    assert model.system_prompt([1, 0]).endswith("= helpfulness*100")
    with pytest.raises(UsageError, match="direction"):
        model.score(ratings.items, [0, 0])


def test_fronts_of_small_pools_are_those_of_brute_force():
    rng = np.random.default_rng(8)
    for k in (2, 3, 4):
        points = rng.random((12, k))
        kept = pareto_front(points)
        slow = [not any(np.all(q >= p) and np.any(q > p) for q in points) for p in points]
        assert kept.tolist() == slow
        cloud = rng.random((200_000, k))
        share = np.mean(np.any(np.all(cloud[:, None] <= points[None], axis=2), axis=1))
        assert hypervolume(points, np.zeros(k)) == pytest.approx(share, abs=5e-3)
    # a point of the front inside its hull: no direction picks it, Chebyshev weights do
    dent = np.array([[1.0, 0.0], [0.45, 0.45], [0.0, 1.0]])
    angles = np.linspace(0, np.pi / 2, 50)
    linear = {int(np.argmax(dent @ [np.cos(a), np.sin(a)])) for a in angles}
    assert linear == {0, 2}
    assert int(np.argmax(chebyshev(dent, np.array([1.0, 1.0])))) == 1
    with pytest.raises(UsageError, match="negative"):
        chebyshev(dent, np.array([1.0, -1.0]))
    assert best_of_n(np.array([1.0, 3.0, 2.0]), np.array([0, 0, 2]), 3).tolist() == [1, -1, 2]


def test_front_bands_shrink_with_pools():
    width = []
    for n_pools in (20, 320):
        rng = np.random.default_rng(n_pools)
        values = rng.normal(size=(n_pools * 8, 2))
        angle = np.linspace(0, np.pi / 2, 5)
        unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        pool = np.repeat(np.arange(n_pools), 8)
        found = front(values @ unit.T, values, pool, directions=unit, attributes=["a", "b"])
        assert np.all((found.low <= found.mean) & (found.mean <= found.high))
        assert found.on_front.all()
        assert found.hypervolume_low < found.hypervolume < found.hypervolume_high
        assert json.loads(json.dumps(found.to_dict()))["pools"] == n_pools
        width.append(np.mean(found.high - found.low))
    assert width[1] < 0.4 * width[0]


@pytest.mark.parametrize("settings", [{}, {"whiten": True}, {"decorrelate": "attribute 1"}], ids=repr)
def test_the_battery(settings):
    results = check_preference_model(DirectionalReward(ridge=1e-3, n_draws=256, **settings), raise_on_failure=True)
    skipped = {result.name for result in results if result.status == "skipped"}
    assert skipped == {
        "an_unrelated_part_leaves_other_contrasts_alone",
        "a_certain_member_is_predicted_as_the_group",
        "two_clear_groups_are_told_apart",
        "undefeated_items_are_finite_and_flagged",
        "disconnected_items_are_finite_and_flagged",
        "items_alone_can_be_fitted",
        "uncertainty_shrinks_with_data",
    }


def test_saved_models_keep_positions(tmp_path):
    ratings, comparisons, _ = planted(5)
    model = DirectionalReward(ridge=1.0).fit(ratings, comparisons=comparisons)
    model.save(tmp_path / "run")
    again = pl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.position_, model.position_)
    np.testing.assert_array_equal(again.adapt(comparisons).position, model.adapt(comparisons).position)
    assert again.attributes_ == model.attributes_
    assert again.r2_ == model.r2_


def test_a_checkpoint_gives_the_same_fit(tmp_path):
    ratings, comparisons, _ = planted(6)
    first = DirectionalReward().fit(ratings, comparisons=comparisons, checkpoint=tmp_path)
    again = DirectionalReward().fit(ratings, comparisons=comparisons, checkpoint=tmp_path)
    np.testing.assert_array_equal(again.coef_, first.coef_)
    np.testing.assert_array_equal(again.position_, first.position_)


def test_data_and_settings_that_cannot_work_are_named():
    ratings, comparisons, _ = planted(7)
    with pytest.raises(UsageError, match="pluralism directions"):
        DirectionalReward().fit(comparisons)
    with pytest.raises(DataError, match="space"):
        DirectionalReward().fit(ratings, comparisons=comparisons.with_features(ratings.items.features, "other"))
    with pytest.raises(DataError, match="features"):
        DirectionalReward().fit(Ratings(Items(ids=["a"]), ["u"], [0], [0], [1.0]))
    for name, value in {"decorrelate": "wit", "correlation": "kendall", "ridge": -1.0, "n_draws": 3}.items():
        with pytest.raises(UsageError, match=name):
            DirectionalReward(**{name: value}).fit(ratings)


def test_raters_predict_one_another_on_news_summaries(shared_data):
    """Two raters' ratings as features predict the third's, and best-of-seven gains on ratings it has not seen."""
    rated = pq.read_table(shared_data / "newsroom_human_eval" / "ratings.parquet").to_pylist()
    group = pq.read_table(shared_data / "newsroom_human_eval" / "items.parquet")["article_group"].to_pylist()
    names = sorted({row["attribute"] for row in rated})
    table = np.full((len(group), 3, 4), np.nan)
    for row in rated:
        table[row["item_id"], row["slot"], names.index(row["attribute"])] = row["rating"]
    ids = [str(i) for i in range(len(group))]
    items = Items(ids=ids, texts=ids, prompts=[str(g) for g in group])
    items = items.with_features(table[:, :2].reshape(len(group), -1), "two raters")
    n = len(group)
    attribute = np.tile(np.arange(4), n)
    third = table[:, 2].ravel()
    ratings = Ratings(items, ["third"], np.zeros(4 * n, int), np.repeat(np.arange(n), 4), third, attribute, names)
    model = DirectionalReward().fit(ratings)
    assert all(0.03 < r2 < 0.3 for r2 in model.r2_)
    best = model.best_of_n(items, np.ones(4))
    assert len(best) == 60
    assert table[best, 2].mean() > table[:, 2].mean() + 0.3


def test_recipe_ratings_of_texts_are_fitted(shared_data):
    texts = pq.read_table(shared_data / "recipe_human_eval" / "items.parquet")
    given = pq.read_table(shared_data / "recipe_human_eval" / "ratings.parquet")
    items = Items(ids=[str(i) for i in texts["item_id"].to_pylist()], texts=texts["text"].to_pylist()).embed("hash:64")
    frame = {
        "user": [str(slot) for slot in given["slot"].to_pylist()],
        "item": [str(i) for i in given["item_id"].to_pylist()],
        "attribute": given["attribute"].to_pylist(),
        "value": [float(v) for v in given["rating"].to_pylist()],
    }
    model = DirectionalReward(decorrelate="verbosity").fit(Ratings.from_frame(frame, items=items))
    assert len(model.attributes_) == 6
    # fifty texts tell little, and the cross-validation says so instead of promising more
    assert max(model.r2_) < 0.3
    found = model.front(items, attributes=("overall", "verbosity"))
    assert found.n_pools == 1
    assert np.isnan(found.low).all()
