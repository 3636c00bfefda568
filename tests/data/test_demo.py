from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from pluralism.data import Comparisons, Simulation
from pluralism.data.demo import (
    AXES,
    DemoTruth,
    demo_axes,
    demo_comparisons,
    demo_groups,
    demo_items,
    demo_new_raters,
)
from pluralism.errors import UsageError


@pytest.fixture(scope="module")
def sides() -> np.ndarray:
    return np.column_stack([demo_axes()[axis] for axis in AXES]).astype(int)


@pytest.fixture(scope="module")
def large() -> Simulation[DemoTruth]:
    return demo_comparisons(n_users=2000, pairs_per_user=60, rng=5)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_every_question_has_four_answers_and_no_text_occurs_twice() -> None:
    items = demo_items()
    codes = items.prompt_codes()
    assert len(items) == 240 and len(set(items.prompts.to_pylist())) == 60
    assert np.array_equal(np.bincount(codes), np.full(60, 4))
    assert len(set(items.texts.to_pylist())) == 240
    assert not set(items.texts.to_pylist()) & set(items.prompts.to_pylist())
    assert items.ids.to_pylist() == [f"p{p:02d}-r{r}" for p in range(1, 61) for r in range(1, 5)]


def test_axes_are_hidden_from_models() -> None:
    assert dict(demo_items().covariates) == {}
    assert demo_comparisons(n_users=12).comparisons.covariate_names() == ["length"]


def test_axes_are_balanced_within_questions_and_orthogonal_over_the_corpus(sides: np.ndarray) -> None:
    assert set(sides.ravel().tolist()) == {-1, 1}
    assert not sides.reshape(60, 4, 4).sum(axis=1).any()
    assert np.array_equal(sides.T @ sides, 240 * np.eye(4))
    combinations = Counter(map(tuple, sides.tolist()))
    assert combinations == dict.fromkeys(itertools.product((1, -1), repeat=4), 15)


def test_axes_are_aliased_within_questions_equally_often(sides: np.ndarray) -> None:
    # Four answers leave three contrasts for four axes, so one pair of axes coincides in each question, up to sign.
    products = np.einsum("pra,prb->pab", sides.reshape(60, 4, 4), sides.reshape(60, 4, 4))
    aliased = Counter((a, b, int(m[a, b])) for m in products for a, b in itertools.combinations(range(4), 2) if m[a, b])
    assert aliased == {(a, b, s): 5 for a, b in itertools.combinations(range(4), 2) for s in (-4, 4)}


def test_concise_and_thorough_answers_differ_in_length_and_the_other_axes_do_not(sides: np.ndarray) -> None:
    words = np.array([len(text.split()) for text in demo_items().texts.to_pylist()])
    thorough = sides[:, 0] > 0
    assert words[~thorough].min() >= 15 and words[~thorough].max() <= 30
    assert words[thorough].min() >= 70 and words[thorough].max() <= 110
    for axis in (1, 2, 3):
        for kind in (thorough, ~thorough):
            long, short = words[kind & (sides[:, axis] > 0)].mean(), words[kind & (sides[:, axis] < 0)].mean()
            assert abs(long / short - 1) < 0.15


def test_the_position_in_a_question_says_nothing_about_the_axes(sides: np.ndarray) -> None:
    assert np.abs(sides.reshape(60, 4, 4).mean(axis=0)).max() < 0.4


def test_formal_answers_never_address_the_reader_and_warm_ones_do(sides: np.ndarray) -> None:
    personal = {"you", "your", "yourself", "yours"}
    addressed = np.array(
        [
            bool(personal & {word.strip(".,;:!?'").lower() for word in text.split()})
            for text in demo_items().texts.to_pylist()
        ]
    )
    assert np.array_equal(addressed, sides[:, 1] > 0)


@pytest.mark.slow
def test_an_encoder_hears_every_axis(sides: np.ndarray, minilm: str) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    features = demo_items().embed(minilm).features
    assert features is not None
    features = features.reshape(60, 4, -1) - features.reshape(60, 4, -1).mean(axis=1, keepdims=True)
    for axis in range(4):
        guess = cross_val_predict(
            LogisticRegression(C=10, max_iter=3000),
            features.reshape(240, -1),
            sides[:, axis],
            groups=np.repeat(np.arange(60), 4),
            cv=GroupKFold(10),
        )
        assert np.mean(guess == sides[:, axis]) > 0.9


def test_groups_have_the_declared_shares_and_want_different_things() -> None:
    groups = demo_groups()
    assert [group.share for group in groups] == [0.40, 0.30, 0.22, 0.08]
    utility = np.array([group.utility for group in groups])
    for a, b in itertools.combinations(utility / np.linalg.norm(utility, axis=1, keepdims=True), 2):
        assert a @ b < 0.6
    population = np.array([group.share for group in groups]) @ utility
    assert np.all(utility[:3] @ population > 0)
    assert utility[3] @ population < 0


def test_group_sizes_are_exact() -> None:
    truth = demo_comparisons().truth
    assert np.bincount(truth.groups).tolist() == [96, 72, 53, 19]
    assert truth.group_weights[3] == pytest.approx(0.08)
    assert np.bincount(demo_comparisons(n_users=100, rng=3).truth.groups).tolist() == [40, 30, 22, 8]


def test_raters_judge_distinct_pairs_of_answers_to_one_question() -> None:
    data = demo_comparisons().comparisons
    assert len(data) == 240 * 30 and np.array_equal(np.bincount(data.user), np.full(240, 30))
    codes = data.items.prompt_codes()
    assert np.array_equal(codes[data.left], codes[data.right])
    low, high = np.minimum(data.left, data.right), np.maximum(data.left, data.right)
    assert len(set(zip(data.user.tolist(), low.tolist(), high.tolist(), strict=True))) == len(data)
    assert abs(np.mean(data.left < data.right) - 0.5) < 4 * 0.5 / np.sqrt(len(data))
    assert len(np.unique(np.column_stack([low, high]), axis=0)) == 360


def test_groups_in_the_data_are_those_of_the_truth() -> None:
    data, truth = (simulation := demo_comparisons(rng=9)).comparisons, simulation.truth
    assert data.groups is not None and data.group is not None
    assert data.groups.to_pylist() == [group.name for group in demo_groups()]
    assert np.array_equal(data.group, truth.groups[data.user])


def test_a_seed_fixes_everything() -> None:
    first, again, other = demo_comparisons(rng=4), demo_comparisons(rng=4), demo_comparisons(rng=5)
    for name in ("user", "left", "right", "outcome"):
        assert np.array_equal(getattr(first.comparisons, name), getattr(again.comparisons, name))
    assert np.array_equal(first.truth.user_utilities, again.truth.user_utilities)
    assert not np.array_equal(first.comparisons.outcome, other.comparisons.outcome)
    assert first.comparisons.items.equals(other.comparisons.items)


def test_stated_probabilities_follow_from_the_raters_weights(sides: np.ndarray) -> None:
    data, truth = (simulation := demo_comparisons(rng=2)).comparisons, simulation.truth
    d = np.array(
        [
            sum(w * (a - b) for w, a, b in zip(truth.user_utilities[u], sides[i], sides[j], strict=True))
            for u, i, j in zip(data.user, data.left, data.right, strict=True)
        ]
    )
    np.testing.assert_allclose(truth.probability, sigmoid(d), rtol=1e-10)
    np.testing.assert_allclose(truth.tie_probability, 0.12 / (0.12 + np.exp(d / 2) + np.exp(-d / 2)), rtol=1e-10)
    np.testing.assert_allclose(truth.item_rewards, sides @ np.array([g.utility for g in demo_groups()]).T)


def test_preferences_are_as_frequent_as_stated(large: Simulation[DemoTruth]) -> None:
    data, truth = large.comparisons, large.truth
    decided = data.outcome != 0.5
    bins = np.digitize(truth.probability[decided], np.linspace(0, 1, 11)[1:-1])
    for code in range(10):
        p, won = truth.probability[decided][bins == code], data.outcome[decided][bins == code]
        assert abs(np.mean(won - p)) < 4 * np.sqrt(np.mean(p * (1 - p)) / len(p))
    tie = truth.tie_probability
    assert abs(np.mean(~decided) - tie.mean()) < 4 * np.sqrt(np.sum(tie * (1 - tie))) / len(tie)
    assert 0.02 < np.mean(~decided) < 0.045


def test_groups_prefer_by_their_utilities(large: Simulation[DemoTruth], sides: np.ndarray) -> None:
    # Logistic regression on the declared axes gives each group's utility back, a little shrunk by the spread of raters.
    from sklearn.linear_model import LogisticRegression

    data, truth = large.comparisons, large.truth
    difference = sides[data.left] - sides[data.right]
    for k, group in enumerate(demo_groups()):
        rows = (data.outcome != 0.5) & (truth.groups[data.user] == k)
        fit = LogisticRegression(C=1e6, fit_intercept=False).fit(difference[rows], data.outcome[rows])
        np.testing.assert_allclose(fit.coef_[0], group.utility, atol=0.13)


def test_a_single_reward_fails_the_minority_and_a_reward_for_each_group_does_not(
    large: Simulation[DemoTruth], sides: np.ndarray
) -> None:
    from sklearn.linear_model import LogisticRegression

    data, truth = large.comparisons, large.truth
    decided = data.outcome != 0.5
    difference, outcome, group = (sides[data.left] - sides[data.right])[decided], data.outcome[decided], truth.groups
    group = group[data.user][decided]
    pooled = LogisticRegression(fit_intercept=False).fit(difference, outcome).coef_[0]
    for k, known in enumerate(demo_groups()):
        d, won = difference[group == k], outcome[group == k] == 1
        own, common = d @ np.array(known.utility), d @ pooled
        assert np.mean((own > 0) == won) > 0.78
        agreement = np.mean((common > 0) == won)
        assert agreement < 0.35 if k == 3 else agreement > 0.55


def test_raters_of_a_group_differ_a_little(large: Simulation[DemoTruth]) -> None:
    truth = large.truth
    own = truth.user_utilities - truth.utilities[truth.groups]
    assert abs(own.mean()) < 0.02
    assert own.std() == pytest.approx(0.2, rel=0.05)


def test_new_raters_share_raters_and_no_judgement() -> None:
    new = demo_new_raters()
    support, scored = new.support.comparisons, new.scored.comparisons
    assert support.n_users == 100 and not set(support.users.to_pylist()) & set(
        demo_comparisons().comparisons.users.to_pylist()
    )
    assert support.users.equals(scored.users)
    assert np.array_equal(np.bincount(support.user), np.full(100, 20))
    assert np.array_equal(np.bincount(scored.user), np.full(100, 20))

    def judged(data: Comparisons) -> set[tuple[int, int, int]]:
        low, high = np.minimum(data.left, data.right), np.maximum(data.left, data.right)
        return set(zip(data.user.tolist(), low.tolist(), high.tolist(), strict=True))

    assert len(judged(support)) == len(judged(scored)) == 2000
    assert not judged(support) & judged(scored)
    assert len(new.support.truth.probability) == len(new.scored.truth.tie_probability) == 2000
    assert np.bincount(new.scored.truth.groups).tolist() == [40, 30, 22, 8]


@pytest.mark.parametrize("pairs", [0, 361])
def test_impossible_requests_are_refused(pairs: int) -> None:
    with pytest.raises(UsageError, match="pairs of the built-in corpus"):
        demo_comparisons(pairs_per_user=pairs)


def test_every_group_needs_a_rater_and_either_part_judgements() -> None:
    with pytest.raises(UsageError, match="too few"):
        demo_comparisons(n_users=3)
    with pytest.raises(UsageError, match="Both parts"):
        demo_new_raters(scored_per_user=0)


def test_a_rater_can_judge_all_pairs() -> None:
    data = demo_comparisons(n_users=7, pairs_per_user=360).comparisons
    assert np.array_equal(np.bincount(data.user), np.full(7, 360))
    pairs = {tuple(sorted(pair)) for pair in zip(data.left.tolist(), data.right.tolist(), strict=True)}
    assert len(pairs) == 360
