"""Reward functions, called as TRL's online trainers call them."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from pluralism.data.demo import demo_comparisons, demo_items
from pluralism.errors import DataError, UsageError
from pluralism.models import MixtureBradleyTerry
from pluralism.policy.lm import TextReward, reward_function, reward_functions

PROMPTS = ["Should I lend money to a friend?", "How do I sleep better?"]
RESPONSES = ["Lend only what you can lose.", "Go to bed at the same time each night, together."]


@pytest.fixture(scope="module")
def reward():
    data = demo_comparisons(n_users=40, pairs_per_user=15).comparisons.embed("hash:32")
    model = MixtureBradleyTerry(n_groups=2, ridge=1.0, n_init=1, rng=0).fit(data)
    return TextReward.of_groups(model, "hash:32", names=("brisk", "warm"))


def called(function, prompts, completions, **columns):
    """As GRPOTrainer calls a function: with the ids, the other columns, and means to log."""
    return function(
        prompts=prompts,
        completions=completions,
        completion_ids=[[1, 2]] * len(prompts),
        trainer_state=object(),
        log_extra=lambda *given: None,
        log_metric=lambda *given: None,
        **columns,
    )


def conversations(system=None):
    before = [] if system is None else [{"role": "system", "content": system}]
    prompts = [[*before, {"role": "user", "content": text}] for text in PROMPTS]
    return prompts, [[{"role": "assistant", "content": text}] for text in RESPONSES]


def test_a_function_gives_the_reward_of_each_completion(reward):
    function = reward_function(reward.only("warm"))
    found = called(function, PROMPTS, RESPONSES, topic=["money", "health"])
    assert all(type(value) is float for value in found)
    np.testing.assert_allclose(found, reward.matrix(PROMPTS, RESPONSES)[:, 1])
    assert function.__name__ == "warm" and inspect.isfunction(function)


@pytest.mark.parametrize("system", [None, "Be warm."])
def test_conversations_are_rewarded_as_the_texts_in_them(reward, system):
    found = called(reward_function(reward.only("warm")), *conversations(system))
    np.testing.assert_allclose(found, reward.matrix(PROMPTS, RESPONSES)[:, 1])


def test_longer_conversations_are_read_as_data_of_trl_are(reward):
    turns = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Why?"},
    ]
    found = called(reward_function(reward.only("warm")), [turns], [[{"role": "assistant", "content": "Because."}]])
    text = "User: Hello.\n\nAssistant: Hello!\n\nUser: Why?"
    np.testing.assert_allclose(found, reward.matrix([text], ["Because."])[:, 1])


def test_one_function_for_each_group_that_share_what_is_encoded(reward):
    functions = reward_functions(reward)
    assert [function.__name__ for function in functions] == ["brisk", "warm"]
    texts = ["Something that nobody has rewarded before.", "Nor this."]
    before = reward.scorer.n_encoded
    found = np.stack([called(function, PROMPTS, texts) for function in functions], axis=1)
    assert reward.scorer.n_encoded == before + 2
    np.testing.assert_allclose(found, reward.matrix(PROMPTS, texts))


def test_columns_that_differ_in_marks_alone_are_logged_apart(reward):
    twins = replace(reward, names=("18-24", "18/24"))
    assert [function.__name__ for function in reward_functions(twins)] == ["18_24_0", "18_24_1"]


def test_each_row_is_rewarded_by_the_group_that_its_column_names(reward):
    function = reward_function(reward, by="group")
    found = called(function, PROMPTS, RESPONSES, group=["warm", "brisk"])
    matrix = reward.matrix(PROMPTS, RESPONSES)
    np.testing.assert_allclose(found, [matrix[0, 1], matrix[1, 0]])
    assert function.__name__ == "reward_by_group"
    with pytest.raises(DataError, match="names 'nobody'"):
        called(function, PROMPTS, RESPONSES, group=["warm", "nobody"])
    with pytest.raises(DataError, match="no column 'group'"):
        called(function, PROMPTS, RESPONSES)


def test_what_people_were_asked_can_stand_in_a_column(reward):
    function = reward_function(reward.only("warm"), prompt="question", name="warm, held out")
    templated = [f"<user>{text}<assistant>" for text in PROMPTS]
    found = called(function, templated, RESPONSES, question=PROMPTS)
    np.testing.assert_allclose(found, reward.matrix(PROMPTS, RESPONSES)[:, 1])
    assert function.__name__ == "warm_held_out"


def test_combined_rewards_are_functions_too(reward):
    items = demo_items()
    references = items.prompts.to_pylist()[:40], items.texts.to_pylist()[:40]
    asked, said = references[0][:3], references[1][:3]
    welfare = reward.in_unit("cdf", *references).welfare("maxmin", beta=0.2)
    np.testing.assert_allclose(called(reward_function(welfare), asked, said), welfare(asked, said))
    assert reward_function(welfare).__name__ == "welfare"
    assert reward_function(reward.in_unit("gain", *references).least()).__name__ == "least_reward"


def test_what_is_no_single_number_is_refused(reward):
    with pytest.raises(UsageError, match="2 columns, and a trainer wants one number"):
        reward_function(reward)
    with pytest.raises(UsageError, match="same for every group"):
        reward_function(reward.weighted(), by="group")
