"""Rewards of texts: columns against the model, units and welfare against finite policies, what is encoded how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pluralism.data import Comparisons, Items, Ratings
from pluralism.data.demo import demo_comparisons, demo_items
from pluralism.errors import ComparabilityWarning, DataError, UsageError
from pluralism.models import BradleyTerry, DirectionalReward, MixtureBradleyTerry
from pluralism.policy import kl_optimal, maxmin, nash, sample_minimum
from pluralism.policy.lm import ConditionedPairs, TextReward, text_scorer
from pluralism.policy.lm.affine_readout import affine_readout

ENCODER = "hash:64"
NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def model():
    data = demo_comparisons(n_users=60, pairs_per_user=20).comparisons.embed(ENCODER)
    return MixtureBradleyTerry(n_groups=3, ridge=1.0, n_init=1, rng=0).fit(data)


@pytest.fixture(scope="module")
def reward(model):
    return TextReward.of_groups(model, ENCODER, names=NAMES)


@pytest.fixture(scope="module")
def corpus():
    """Prompts and responses of six questions."""
    items = demo_items().take(np.arange(24))
    return items.prompts.to_pylist(), items.texts.to_pylist()


@pytest.fixture(scope="module")
def items():
    """The same as items that the model has not seen."""
    chosen = demo_items().take(np.arange(24))
    return Items.from_texts(chosen.texts, prompts=chosen.prompts).embed(ENCODER)


def opposed():
    """Judgements of two people who want the opposite of the same two answers."""
    items = Items.from_texts(["yes yes", "no no"], prompts=["Should I?"] * 2, ids=["y", "n"])
    rows = [("a", "y", "n", 1.0), ("b", "y", "n", 0.0)] * 5
    users, left, right, outcome = zip(*rows, strict=True)
    return Comparisons.from_frame({"user": users, "left": left, "right": right, "outcome": outcome}, items=items)


def test_columns_are_the_rewards_of_the_model_on_embedded_items(model, reward, corpus, items):
    np.testing.assert_allclose(reward.matrix(*corpus), model.reward(items), atol=1e-6)
    np.testing.assert_allclose(reward.shares, model.group_weights_)
    np.testing.assert_allclose(reward.only("three")(*corpus), model.reward(items)[:, 2], atol=1e-6)
    assert model.item_effects_ is not None and not np.allclose(
        model.reward(demo_items().embed(ENCODER))[:24], model.reward(items)
    )
    swapped = reward.only("three", "one")
    np.testing.assert_allclose(swapped.matrix(*corpus), model.reward(items)[:, [2, 0]], atol=1e-6)
    np.testing.assert_allclose(swapped.only("one")(*corpus), model.reward(items)[:, 0], atol=1e-6)
    np.testing.assert_allclose(swapped.shares, model.group_weights_[[2, 0]] / model.group_weights_[[2, 0]].sum())


def test_columns_of_people_are_their_expected_rewards(model, corpus, items):
    members = model.membership()
    of_users = TextReward.of_users(model, ENCODER)
    np.testing.assert_allclose(of_users.matrix(*corpus), model.user_reward(items, members), atol=1e-6)
    assert of_users.names == tuple(members.users.to_pylist())
    one = of_users.names[7]
    np.testing.assert_allclose(of_users.only(one)(*corpus), model.user_reward(items, members)[:, 7], atol=1e-6)


def test_columns_of_directions_are_scores_along_them(corpus):
    items = demo_items().embed(ENCODER)
    rng = np.random.default_rng(0)
    values = items.features[:, :2].astype(float) + 0.1 * rng.normal(size=(len(items), 2))
    rows = [(f"u{k % 3}", items.ids[k].as_py(), name, values[k, j]) for k in range(240) for j, name in enumerate("ab")]
    users, codes, attributes, given = zip(*rows, strict=True)
    ratings = Ratings.from_frame({"user": users, "item": codes, "attribute": attributes, "value": given}, items=items)
    model = DirectionalReward(ridge=1.0).fit(ratings)
    directions = {"a": [2.0, 0.0], "not b": [0.0, -1.0]}
    found = TextReward.of_directions(model, ENCODER, directions)
    first = items.take(np.arange(24))
    for name, direction in directions.items():
        np.testing.assert_allclose(found.only(name)(*corpus), model.score(first, direction), atol=1e-5)
    messages = {name: model.system_prompt(direction) for name, direction in directions.items()}
    pairs = ConditionedPairs.from_rewards(found, *corpus, systems=messages)
    text = dict(zip(zip(*corpus, strict=True), range(24), strict=True))
    for row, (prompt, chosen, rejected) in enumerate(zip(pairs.prompts, pairs.chosen, pairs.rejected, strict=True)):
        scores = model.score(first, directions[pairs.groups[pairs.group[row]]])
        assert pairs.margin[row] == pytest.approx(
            scores[text[prompt, chosen]] - scores[text[prompt, rejected]], abs=1e-5
        )
    assert "b*-100" in pairs.of_group("not b").to_dataset()[0]["prompt"][0]["content"]
    with pytest.raises(UsageError, match="no directions"):
        TextReward.of_directions(model, ENCODER, {})


def test_each_text_is_encoded_once(model, corpus, tmp_path):
    calls = []

    def encode(texts):
        calls.append(list(texts))
        from pluralism.embeddings import embed

        return embed(texts, ENCODER).features

    twin = MixtureBradleyTerry(n_groups=3, ridge=1.0, n_init=1, rng=0)
    data = demo_comparisons(n_users=20, pairs_per_user=10).comparisons.embed(encode, name="mine")
    from pluralism.embeddings import resolve

    encoder = resolve(encode, name="mine")
    reward = TextReward.of_groups(twin.fit(data), encoder, cache=tmp_path)
    calls.clear()
    prompts, responses = corpus
    first = reward.matrix(prompts * 2, responses * 2)
    np.testing.assert_array_equal(first[:24], first[24:])
    assert [len(texts) for texts in calls] == [24] and reward.scorer.n_encoded == 24
    reward.only("group 1")(prompts[:5], responses[:5])
    assert len(calls) == 1
    again = TextReward.of_groups(twin, encoder, cache=tmp_path)
    np.testing.assert_allclose(again.matrix(prompts, responses), first[:24], atol=1e-6)
    assert len(calls) == 1


def test_what_is_remembered_is_bounded(model, corpus, monkeypatch):
    monkeypatch.setattr(text_scorer, "_REMEMBERED", 30)
    reward = TextReward.of_groups(model, ENCODER)
    whole = reward.matrix(*corpus)
    assert len(reward.scorer._known) == 10
    np.testing.assert_allclose(reward.matrix(*corpus), whole)
    assert reward.scorer.n_encoded == 24 + 14
    monkeypatch.setattr(text_scorer, "_TEXTS", 4)
    one = TextReward.of_groups(model, ENCODER).only("group 0")
    one.matrix(*corpus)
    assert len(one.scorer._known) == 4


def test_the_order_of_rows_is_that_given(reward, corpus):
    prompts, responses = corpus
    whole = reward.matrix(prompts, responses)
    order = [5, 3, 5, 0, 23]
    mixed = reward.matrix([prompts[k] for k in order], [responses[k] for k in order])
    np.testing.assert_allclose(mixed, whole[order])
    swapped = reward.matrix(prompts[::-1], responses)
    assert not np.allclose(swapped, whole)


def test_a_policy_may_write_nothing(reward):
    prompt = "Should I lend money to a friend?"
    asked, said = [prompt, prompt, "", prompt], ["", " \n", "", "No."]
    found = reward.matrix(asked, said)
    assert np.isfinite(found).all()
    # Beside others or alone, and in every unit.
    np.testing.assert_array_equal(reward.matrix([prompt], [""])[0], found[0])
    for unit in ("gain", "normalised", "cdf", "regret"):
        measured = reward.in_unit(unit, [prompt] * 3, ["", "No.", "Lend it."])
        assert np.isfinite(measured.matrix([prompt] * 2, ["", " "])).all()


@pytest.mark.parametrize("unit", ["gain", "normalised", "cdf", "regret"])
def test_units_are_those_of_utilities_on_the_references(reward, corpus, model, items, unit):
    measured = reward.in_unit(unit, *corpus)
    expected = model.utilities(items, unit=unit, reference="samples")
    flat = expected.values[expected.mask]
    np.testing.assert_allclose(measured.matrix(*corpus), flat, atol=1e-6)
    np.testing.assert_allclose(measured.utilities.values, expected.values, atol=1e-6)
    assert measured.unit == unit and measured.only("two").unit == unit
    np.testing.assert_allclose(measured.only("two")(*corpus), flat[:, 1], atol=1e-6)
    with pytest.raises(DataError, match="reference responses to the same prompt"):
        measured.matrix(["A question of nobody?"], ["An answer."])


def test_new_responses_are_placed_among_the_references(reward, corpus):
    prompts, responses = corpus
    new, text = prompts[0], "A new answer, short and plain."
    raw = reward.matrix([new], [text])[0]
    own = reward.matrix(prompts[:4], responses[:4])
    win_rate = (raw > own).mean(axis=0)
    np.testing.assert_allclose(reward.in_unit("cdf", *corpus).matrix([new], [text])[0], win_rate)
    np.testing.assert_allclose(
        reward.in_unit("gain", *corpus).matrix([new], [text])[0], raw - own.mean(axis=0), atol=1e-9
    )
    np.testing.assert_allclose(
        reward.in_unit("regret", *corpus).matrix([new], [text])[0], raw - own.max(axis=0), atol=1e-9
    )
    shrunk = reward.in_unit("cdf", *corpus, shrinkage=4.0)
    found = shrunk.matrix([new], [text])[0]
    assert not np.allclose(found, win_rate) and ((found >= 0) & (found <= 1)).all()
    flat = shrunk.utilities.values[shrunk.utilities.mask]
    np.testing.assert_allclose(shrunk.matrix(*corpus), flat, atol=1e-9)


def test_a_constant_for_each_prompt_and_group_does_not_matter_in_comparable_units(reward, corpus):
    prompts, _ = corpus
    shift = np.random.default_rng(0).normal(size=(6, 3))

    class Shifted:
        encoder, model = reward.scorer.encoder, reward.scorer.model

        def __call__(self, asked, said):
            places = {prompt: k for k, prompt in enumerate(dict.fromkeys(prompts))}
            return reward.scorer(asked, said) + shift[[places[one] for one in asked]]

    moved = replace(reward, scorer=Shifted())
    assert not np.allclose(moved.matrix(*corpus), reward.matrix(*corpus))
    for unit in ("gain", "normalised", "cdf", "regret"):
        one, two = reward.in_unit(unit, *corpus), moved.in_unit(unit, *corpus)
        np.testing.assert_allclose(one.matrix(*corpus), two.matrix(*corpus), atol=1e-9)


@pytest.mark.parametrize("unit", ["gain", "normalised", "cdf"])
@pytest.mark.parametrize("rule", ["utilitarian", "maxmin", "nash"])
def test_a_trainer_of_the_welfare_reward_arrives_at_the_policy_of_the_rule(reward, corpus, unit, rule):
    """The tilt of the reference by the combined reward is the optimum of the rule among the samples."""
    measured = reward.in_unit(unit, *corpus)
    combined = measured.welfare(rule, beta=0.3)
    utilities = measured.utilities
    solve = {"utilitarian": kl_optimal, "maxmin": maxmin, "nash": nash}[rule]
    expected = solve(utilities, beta=0.3)
    scores = np.full(utilities.mask.shape, 0.0)
    scores[utilities.mask] = combined(*corpus)
    logs = np.where(utilities.mask, scores / 0.3 + utilities.log_reference, -np.inf)
    tilted = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    np.testing.assert_allclose(tilted, expected.probs, atol=1e-4)
    np.testing.assert_allclose(combined.policy.probs, expected.probs)


def test_the_least_reward_is_the_published_shortcut(reward, corpus):
    measured = reward.in_unit("gain", *corpus)
    least = measured.least()
    np.testing.assert_allclose(least(*corpus), measured.matrix(*corpus).min(axis=1))
    expected = sample_minimum(measured.utilities, beta=0.5)
    scores = least(*corpus).reshape(6, 4) / 0.5
    tilted = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    np.testing.assert_allclose(tilted, expected.probs, atol=1e-9)


def test_groups_that_nothing_makes_comparable_are_compared_with_a_warning(reward, corpus):
    raw = reward.in_unit("raw", *corpus)
    with pytest.warns(ComparabilityWarning, match="maxmin"):
        raw.welfare("maxmin", beta=0.5)
    with pytest.warns(ComparabilityWarning, match="least of raw rewards"):
        reward.least()


def test_weights_are_by_share_by_name_or_given(reward, corpus):
    matrix = reward.matrix(*corpus)
    np.testing.assert_allclose(reward.weighted()(*corpus), matrix @ reward.shares)
    np.testing.assert_allclose(reward.weighted([1.0, -2.0, 0.0])(*corpus), matrix @ [1.0, -2.0, 0.0])
    np.testing.assert_allclose(reward.weighted({"two": 3.0})(*corpus), 3.0 * matrix[:, 1])
    assert "weights 0, 3, 0" in repr(reward.weighted({"two": 3.0}))
    assert repr(reward).startswith("TextReward(MixtureBradleyTerry on hash; raw; one, two, three")


def test_what_cannot_be_asked_is_named(model, reward, corpus):
    with pytest.raises(UsageError, match="3 columns, and one number"):
        reward(*corpus)
    with pytest.raises(UsageError, match="already combined"):
        reward.weighted().only("one")
    with pytest.raises(UsageError, match="no column 'nobody'"):
        reward.only("nobody")
    with pytest.raises(UsageError, match="no column 'nobody'"):
        reward.weighted({"nobody": 1.0})
    with pytest.raises(UsageError, match="3 finite numbers"):
        reward.weighted([1.0])
    with pytest.raises(UsageError, match="no reference samples"):
        reward.welfare("maxmin", beta=1.0)
    for options in ({"unit": "gains"}, {"unit": "cdf", "shrinkage": -1.0}, {"unit": "gain", "shrinkage": 2.0}):
        with pytest.raises(UsageError, match=r"unit=.* is not possible"):
            reward.in_unit(prompts=corpus[0], responses=corpus[1], **options)
    with pytest.raises(UsageError, match="no welfare rule"):
        reward.in_unit("gain", *corpus).welfare("fair", beta=1.0)
    for response in (None, 3):
        with pytest.raises(UsageError, match=f"Rewards are of texts, not of {type(response).__name__}"):
            reward.matrix(["Why?"], [response])
    for prompts, responses in (([], []), (["a"], []), ("a", "b")):
        with pytest.raises(UsageError, match="lists of prompts and responses"):
            reward.matrix(prompts, responses)
    with pytest.raises(UsageError, match="3 distinct names"):
        TextReward.of_groups(model, ENCODER, names=["one", "one", "two"])
    with pytest.raises(UsageError, match="fitted on the space"):
        TextReward.of_groups(model, "hash:32")
    without = BradleyTerry().fit(opposed())
    with pytest.raises(UsageError, match="no new text"):
        TextReward.of_groups(without, ENCODER)


def test_nash_without_a_common_gain_is_named():
    """Two groups who want the opposite of the same answers: nobody can gain without the other losing."""
    texts = ["yes yes", "no no"]
    data = opposed().embed("hash:16")
    model = MixtureBradleyTerry(n_groups=2, ridge=0.01, n_init=2, rng=0).fit(data)
    reward = TextReward.of_groups(model, "hash:16")
    rewards = reward.matrix(["Should I?"] * 2, texts)
    assert np.sign(rewards[0] - rewards[1]).prod() == -1
    with pytest.raises(DataError, match="Nash welfare chooses the reference"):
        reward.in_unit("gain", ["Should I?"] * 2, texts).welfare("nash", beta=0.1)


def test_the_readout_of_an_affine_function_is_exact_and_others_are_refused():
    rng = np.random.default_rng(0)
    weights, constant = rng.normal(size=(3, 20)), rng.normal(size=3)
    found = affine_readout(lambda x: x @ weights.T + constant, 20)
    np.testing.assert_allclose(found[0], weights, atol=1e-5)
    np.testing.assert_allclose(found[1], constant, atol=1e-5)
    assert affine_readout(lambda x: np.sum(x**2, axis=1, keepdims=True), 20) is None
    assert affine_readout(lambda x: np.tanh(x @ weights.T), 20) is None
