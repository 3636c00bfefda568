from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pluralism.data import Comparisons, Items
from pluralism.errors import DataError
from pluralism.models import BradleyTerry, MixtureBradleyTerry
from pluralism.reports import group_preferences


@pytest.fixture(scope="module")
def found(model, data):
    return group_preferences(model, data)


def test_rewards_are_relative_to_the_judged_texts_of_the_prompt(found, model, data):
    raw = model.reward(data.items)
    prompts = np.array(data.items.prompts.to_pylist())
    for position in range(0, len(found), 7):
        item = found.item[position]
        same = [i for i in found.item if prompts[i] == prompts[item]]
        assert np.allclose(found.reward[position], raw[item] - raw[same].mean(axis=0))


def test_agreement_of_groups_by_brute_force(found, model):
    w = model.group_weights_
    for position in range(0, len(found), 5):
        r = found.reward[position]
        mean = sum(w[k] * r[k] for k in range(2))
        assert found.overall[position] == pytest.approx(mean)
        assert found.disagreement[position] ** 2 == pytest.approx(sum(w[k] * (r[k] - mean) ** 2 for k in range(2)))
        assert found.relative[position] == pytest.approx([r[0] - r[1], r[1] - r[0]])


def test_relative_rewards_weigh_the_other_groups_by_size():
    rng = np.random.default_rng(1)
    items = Items(ids=[str(i) for i in range(6)], features=rng.standard_normal((6, 2)))
    data = Comparisons(items, ["a", "b", "c"], [0, 1, 2] * 10, *_pairs(rng, 30, 6), rng.integers(0, 2, 30))
    model = MixtureBradleyTerry(n_groups=3, ridge=1.0, item_effects=False, rng=0).fit(data)
    model.group_weights_ = np.array([0.5, 0.3, 0.2])
    found = group_preferences(model, data)
    r = found.reward
    assert found.relative[:, 0] == pytest.approx(r[:, 0] - (0.3 * r[:, 1] + 0.2 * r[:, 2]) / 0.5)
    assert found.relative[:, 2] == pytest.approx(r[:, 2] - (0.5 * r[:, 0] + 0.3 * r[:, 1]) / 0.8)
    std = np.array([[1.0, 2.0, 3.0]])
    expected = np.sqrt(1 + (0.6 * 2) ** 2 + (0.4 * 3) ** 2)
    assert found.relative_std(std)[0, 0] == pytest.approx(expected)


def _pairs(rng, n, n_items):
    left = rng.integers(0, n_items, n)
    return left, (left + rng.integers(1, n_items, n)) % n_items


def test_lists_hold_one_text_a_prompt_best_first(found):
    top = found.liked(1, 5)
    assert len(set(found.block[top])) == 5
    assert (np.diff(found.reward[top, 1]) <= 0).all()
    assert found.reward[top[0], 1] == found.reward[:, 1].max()
    assert found.reward[found.disliked(1, 1)[0], 1] == found.reward[:, 1].min()
    assert found.disagreement[found.divisive(1)[0]] == found.disagreement.max()


def test_shared_likes_are_liked_by_every_group(found):
    liked, disliked = found.shared(10), found.shared(10, liked=False)
    assert (found.reward[liked] > 0).all() and (found.reward[disliked] < 0).all()
    assert found.reward[liked[0]].min() == found.reward.min(axis=1).max()


def test_split_and_agreed_prompts_by_brute_force(found):
    split = np.array([np.mean(found.disagreement[found.block == b] ** 2) ** 0.5 for b in range(found.n_blocks)])
    spread = np.array([np.mean(found.overall[found.block == b] ** 2) ** 0.5 for b in range(found.n_blocks)])
    assert found.prompt_split() == pytest.approx(split) and found.prompt_spread() == pytest.approx(spread)
    assert found.split_prompts(3).tolist() == np.argsort(-split)[:3].tolist()
    caring = np.flatnonzero(spread >= np.median(spread))
    assert found.agreed_prompts(3).tolist() == caring[np.argsort(split[caring])][:3].tolist()


def test_planted_groups_like_what_they_were_made_to_like(found, simulation):
    truth = simulation.truth
    order = [int(np.argmax(np.bincount(truth.groups[found.model.membership().labels == k]))) for k in range(2)]
    assert sorted(order) == [0, 1]
    text_reward = simulation.comparisons.items.features @ truth.heads.T
    for k in range(2):
        true = text_reward[found.item][:, order[k]]
        true = true - (np.bincount(found.block, true) / np.bincount(found.block))[found.block]
        assert np.corrcoef(true, found.reward[:, k])[0, 1] > 0.9


@pytest.mark.parametrize("item_effects", [False, 4.0])
def test_std_is_that_of_the_contrast_not_of_the_reward(data, item_effects):
    model = BradleyTerry(ridge=1.0, item_effects=item_effects).fit(data)
    found = group_preferences(model, data)
    dim, known = data.dim, model.item_ids_
    n_effects = 0 if known is None else len(known)
    design = np.zeros((data.n_items, dim + n_effects))
    design[:, :dim] = data.items.features
    if known is not None:
        for column, item in enumerate(data.items.index(known)):
            design[item, dim + column] = 1.0
    size = dim + n_effects
    covariance = model.covariance_[0][:size, :size]
    positions = np.arange(0, len(found), 9)
    for row, position in enumerate(positions):
        block = found.item[found.block == found.block[position]]
        contrast = design[found.item[position]] - design[block].mean(axis=0)
        assert found.std(positions)[row, 0] == pytest.approx(np.sqrt(contrast @ covariance @ contrast))


def test_what_a_prompt_has_in_common_does_not_make_rewards_unsure(data):
    shift = np.random.default_rng(0).standard_normal((12, data.dim)) * 5
    moved = data.with_features(data.items.features + shift[data.items.prompt_codes()].astype(np.float32))
    plain, shifted = (BradleyTerry(ridge=1.0, item_effects=False).fit(d) for d in (data, moved))
    a, b = (group_preferences(m, d).std(np.arange(5)) for m, d in ((plain, data), (shifted, moved)))
    assert a == pytest.approx(b, rel=1e-3)
    assert np.abs(shifted.reward_std(moved.items) / plain.reward_std(data.items) - 1).max() > 0.5


def test_an_unknown_item_is_as_unsure_as_the_prior(data):
    model = BradleyTerry(ridge=1.0, item_effects=4.0).fit(data)
    items = data.items
    renamed = Items(ids=[f"new-{i}" for i in range(len(items))], texts=items.texts, prompts=items.prompts)
    renamed = renamed.with_features(items.features, items.feature_space)
    other = Comparisons(renamed, data.users, data.user, data.left, data.right, data.outcome)
    found = group_preferences(model, other)
    block = found.item[found.block == found.block[0]]
    centred = items.features[found.item[0]] - items.features[block].mean(axis=0)
    c = model.covariance_[0][: data.dim, : data.dim]
    own = (1 - 1 / len(block)) / 4.0
    assert found.std(np.array([0]))[0, 0] == pytest.approx(np.sqrt(centred @ c @ centred + own))


def test_without_covariance_there_is_no_std(data):
    model = BradleyTerry(ridge=1.0, uncertainty=False).fit(data)
    assert group_preferences(model, data).std(np.arange(3)) is None


def test_prompts_with_one_judged_text_are_left_out_and_none_is_an_error():
    items = Items(ids=list("abcd"), texts=list("abcd"), prompts=["p", "p", "q", "r"], features=np.eye(4))
    data = Comparisons(items, ["u"], [0, 0], [0, 0], [1, 1], [1.0, 0.0])
    model = BradleyTerry(ridge=1.0).fit(data)
    assert group_preferences(model, data).item.tolist() == [0, 1]
    apart = Comparisons(items, ["u"], [0, 0], [0, 2], [2, 3], [1.0, 0.0])
    with pytest.raises(DataError, match="No prompt has two"):
        group_preferences(model, apart)


def test_items_without_prompts_are_centred_over_all():
    items = Items(ids=pa.array(list("abc"), pa.large_string()), features=np.eye(3))
    data = Comparisons(items, ["u"], [0] * 4, [0, 1, 0, 2], [1, 2, 2, 0], [1.0, 1.0, 1.0, 1.0])
    model = BradleyTerry(ridge=1.0).fit(data)
    found = group_preferences(model, data)
    assert not found.has_prompts and found.reward.mean(axis=0) == pytest.approx(0)
    assert len(found.liked(0, 3)) == 3
    assert np.all(found.relative == 0)
