"""Pairs for policies of groups: by hand on few responses, in the forms that TRL reads, and what filters take."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from pluralism.data import Comparisons
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm import ConditionedPairs, TextReward

PROMPTS = ["Tea?"] * 4 + ["Sleep?"] * 3
RESPONSES = ["Black.", "Green.", "None.", "Milk.", "Early.", "Late.", "Never."]
VALUES = np.array([[3.0, 0.0], [2.0, 1.0], [0.0, 2.5], [1.0, 2.5], [0.0, 5.0], [1.0, 4.0], [1.0, 3.0]])


def reward_of(values, names=("us", "them")):
    """A reward by table, of the columns given."""
    table = dict(zip(zip(PROMPTS, RESPONSES, strict=True), values, strict=True))

    class Scorer:
        model, encoder = SimpleNamespace(), SimpleNamespace(name="table")

        def __call__(self, prompts, responses):
            return np.stack([table[pair] for pair in zip(prompts, responses, strict=True)])

    n = len(names)
    return TextReward(tuple(names), np.full(n, 1.0 / n), Scorer(), tuple(range(n)))


REWARD = reward_of(VALUES)


def rows(pairs):
    return list(
        zip(
            [pairs.groups[k] for k in pairs.group],
            pairs.prompts,
            pairs.chosen,
            pairs.rejected,
            pairs.margin.tolist(),
            strict=True,
        )
    )


def test_extremes_are_the_best_and_the_worst_of_each_prompt_for_each_group():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES)
    assert rows(pairs) == [
        ("us", "Tea?", "Black.", "None.", 3.0),
        ("us", "Sleep?", "Late.", "Early.", 1.0),
        ("them", "Tea?", "None.", "Black.", 2.5),
        ("them", "Sleep?", "Early.", "Never.", 2.0),
    ]
    assert pairs.n_stages == 1 and pairs.made.tolist() == pairs.kept.tolist() == [2, 2]


def test_all_pairs_are_those_that_a_group_tells_apart_in_the_order_it_prefers():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="all")
    expected = set()
    for (a, b), (k, name) in itertools.product(itertools.permutations(range(7), 2), enumerate(REWARD.names)):
        if PROMPTS[a] == PROMPTS[b] and VALUES[a, k] > VALUES[b, k]:
            expected.add((name, PROMPTS[a], RESPONSES[a], RESPONSES[b], VALUES[a, k] - VALUES[b, k]))
    assert set(rows(pairs)) == expected and len(pairs) == len(expected)


def test_a_curriculum_sets_the_best_against_the_worst_first():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="curriculum").of_group("us")
    assert pairs.n_stages == 3
    assert [rows(pairs.of_stage(k))[0][2:4] for k in range(3)] == [
        ("Black.", "None."),
        ("Black.", "Milk."),
        ("Black.", "Green."),
    ]
    tea = [margin for _, prompt, _, _, margin in rows(pairs) if prompt == "Tea?"]
    assert tea == sorted(tea, reverse=True)
    assert [(chosen, rejected) for _, prompt, chosen, rejected, _ in rows(pairs) if prompt == "Sleep?"] == [
        ("Late.", "Early.")
    ]
    short = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="curriculum", max_stages=2)
    assert short.n_stages == 2
    with pytest.raises(UsageError, match="no stage 2"):
        short.of_stage(2)


def test_mirrored_pairs_take_each_response_once_from_both_ends():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="mirrored").of_group("us")
    tea = [(chosen, rejected) for _, prompt, chosen, rejected, _ in rows(pairs) if prompt == "Tea?"]
    assert tea == [("Black.", "None."), ("Green.", "Milk.")] and pairs.n_stages == 2
    only = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="mirrored", max_stages=1)
    assert rows(only) == rows(ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES))


def test_filters_say_what_they_took_from_each_group():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, min_margin=2.5)
    assert pairs.made.tolist() == [2, 2] and pairs.kept.tolist() == [1, 1]
    doubting = VALUES.copy()
    doubting[:, 1] = doubting[:, 0]
    agreed = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, agreeing=[reward_of(doubting)])
    assert agreed.made.tolist() == [2, 2] and agreed.kept.tolist() == [2, 0]
    assert "them" in repr(agreed) and json.loads(agreed.to_json())["kept"] == [2, 0]


def test_pairs_are_free_of_the_constants_of_prompts_and_groups():
    shifted = VALUES + np.where(np.array(PROMPTS)[:, None] == "Tea?", [[10.0, -3.0]], [[-4.0, 7.0]])
    one = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="all")
    two = ConditionedPairs.from_rewards(reward_of(shifted), PROMPTS, RESPONSES, pairing="all")
    assert [row[:4] for row in rows(one)] == [row[:4] for row in rows(two)]
    np.testing.assert_allclose(one.margin, two.margin)


def test_equal_responses_count_once():
    doubled = ConditionedPairs.from_rewards(REWARD, PROMPTS * 2, RESPONSES * 2, pairing="all")
    assert rows(doubled) == rows(ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="all"))


def test_conversations_have_the_system_message_of_the_group():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, systems={"them": "Be careful."})
    data = pairs.to_dataset()
    assert data.column_names == ["prompt", "chosen", "rejected", "margin", "group", "stage"]
    ours, theirs = data[0], data[2]
    assert ours["prompt"] == [{"role": "user", "content": "Tea?"}]
    assert theirs["prompt"] == [{"role": "system", "content": "Be careful."}, {"role": "user", "content": "Tea?"}]
    assert theirs["chosen"] == [{"role": "assistant", "content": "None."}] and theirs["group"] == "them"
    assert theirs["margin"] == 2.5


def test_texts_have_it_in_a_column_and_are_read_back_as_comparisons():
    pairs = ConditionedPairs.from_rewards(
        REWARD, PROMPTS, RESPONSES, systems={"us": "Be brisk.", "them": "Be careful."}
    )
    data = pairs.to_dataset(conversational=False)
    assert data["system"] == ["Be brisk.", "Be brisk.", "Be careful.", "Be careful."]
    again = Comparisons.from_trl(data, user="all")
    assert again.groups.to_pylist() == ["us", "them"]
    np.testing.assert_allclose(again.strength, pairs.margin)
    assert again.items.texts.take(again.left).to_pylist() == list(pairs.chosen)


def test_thumbs_are_the_sides_of_pairs():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="curriculum")
    data = pairs.to_unpaired(conversational=False)
    assert data.column_names == ["prompt", "completion", "label", "group"]
    ours = [(row["completion"], row["label"]) for row in data if row["group"] == "us" and row["prompt"] == "Tea?"]
    assert ours == [("Black.", True), ("None.", False), ("Milk.", False), ("Green.", False)]
    talk = pairs.to_unpaired()
    assert talk[0]["prompt"] == [{"role": "user", "content": "Tea?"}]
    assert talk[0]["completion"] == [{"role": "assistant", "content": "Black."}]
    assert len(talk) == len(data)


def test_answers_are_the_chosen_sides_once():
    pairs = ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, pairing="curriculum", systems={"us": "Be brisk."})
    data = pairs.to_answers(conversational=False)
    assert data.column_names == ["prompt", "completion", "group", "system"]
    ours = [(row["prompt"], row["completion"], row["system"]) for row in data if row["group"] == "us"]
    assert ours == [("Tea?", "Black.", "Be brisk."), ("Sleep?", "Late.", "Be brisk.")]
    talk = pairs.to_answers()
    assert talk[0]["prompt"] == [{"role": "system", "content": "Be brisk."}, {"role": "user", "content": "Tea?"}]
    assert talk[0]["completion"] == [{"role": "assistant", "content": "Black."}] and len(talk) == len(data)


def test_what_makes_no_pairs_is_named():
    with pytest.raises(DataError, match="tells apart"):
        ConditionedPairs.from_rewards(reward_of(np.ones_like(VALUES)), PROMPTS, RESPONSES)
    for options in ({"pairing": "some"}, {"min_margin": -1.0}, {"max_stages": 0}):
        with pytest.raises(UsageError, match="cannot work"):
            ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, **options)
    with pytest.raises(UsageError, match="made for each column"):
        ConditionedPairs.from_rewards(REWARD.weighted(), PROMPTS, RESPONSES)
    with pytest.raises(UsageError, match="made for each column"):
        ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, agreeing=[REWARD.only("us")])
    with pytest.raises(UsageError, match="no column 'nobody'"):
        ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES, systems={"nobody": "Hello."})
    with pytest.raises(UsageError, match="lists of prompts"):
        ConditionedPairs.from_rewards(REWARD, [], [])
    with pytest.raises(UsageError, match="no group 'nobody'"):
        ConditionedPairs.from_rewards(REWARD, PROMPTS, RESPONSES).of_group("nobody")
