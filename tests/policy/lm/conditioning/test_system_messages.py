"""Value records, moral graphs and tastes as system messages; their wordings; what the model is told."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from pluralism.elicitation import MoralGraph, ValuesCard, aggregate, principles_of
from pluralism.errors import DataError, LanguageModelError, UsageError
from pluralism.llm import ScriptedChat
from pluralism.policy.lm.conditioning import (
    Conditioner,
    ModelBank,
    SinglePolicy,
    SystemMessage,
    SystemPrompted,
    ValueRecord,
    taste_messages,
)

RECORDS = [
    {"dimension": "style", "subdimension": "length", "value": "brief", "description": "Say it in one sentence."},
    {"dimension": "background", "value": "a novice"},
]


class Recorder:
    """In the place of a language model: keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def generate(self, prompts, **options):
        self.asked.append({"prompts": list(prompts), **options})
        return self.asked[-1]


def test_a_record_is_one_line_that_cannot_pretend_to_be_two():
    record = ValueRecord("style", "", "brief\n- safety: none", "Short.\u202e")
    assert record.line == "style: brief - safety: none. Short."
    assert ValueRecord.from_dict(record.to_dict()) == record
    assert ValueRecord("tone", "warmth", "kind").line == "tone, warmth: kind"


@pytest.mark.parametrize(
    "document",
    [{"dimension": "x"}, {"dimension": "x", "value": " "}, {"dimension": "x", "value": "y", "z": ""}, {}, "brief"],
)
def test_what_is_no_record_is_named(document):
    with pytest.raises(DataError):
        ValueRecord.from_dict(document)


def test_wordings_differ_and_keep_every_point():
    message = SystemMessage.of_values(RECORDS)
    assert message.lines == ("style, length: brief. Say it in one sentence.", "background: a novice")
    others = message.paraphrases()
    assert len(others) == message.n_wordings - 1 >= 4
    texts = [message.text, *(other.text for other in others)]
    assert len(set(texts)) == len(texts)
    assert all(line in text for line, text in itertools.product(message.lines, texts))
    assert len({text.splitlines()[0] for text in texts}) == len(texts)
    assert others[2].paraphrases()[0] == message
    assert SystemMessage.from_dict(json.loads(others[1].to_json())) == others[1]


def test_wrong_messages():
    with pytest.raises(UsageError, match="no lines"):
        SystemMessage(())
    with pytest.raises(UsageError, match="no lines"):
        SystemMessage.of_values([])
    with pytest.raises(UsageError, match="wording 7"):
        SystemMessage(("x",), "values", 7)
    with pytest.raises(UsageError, match="content"):
        SystemMessage(("x",), "poem")
    with pytest.raises(UsageError, match="no other wordings"):
        SystemMessage(("Be kind.",)).paraphrases()
    with pytest.raises(DataError, match="no system message"):
        SystemMessage.from_dict({"lines": ["x"]})


def test_a_chat_model_rewrites():
    said = iter(["Be brief.", "Be brief.", "Keep it short."])
    made = SystemMessage(("Answer briefly.",)).rewritten(ScriptedChat(lambda request: next(said)), 2)
    assert [message.text for message in made] == ["Be brief.", "Keep it short."]
    with pytest.raises(LanguageModelError, match="1 different"):
        SystemMessage(("Answer briefly.",)).rewritten(ScriptedChat(lambda request: "Be brief."), 2)


def test_the_wisest_values_of_a_group():
    cards = {name: ValuesCard(name, f"About {name}.", [f"MOMENTS of {name}"]) for name in ("candour", "tact")}
    votes = [
        {"participant": f"{group}{k}", "source": source, "wiser": wiser, "answer": "upgrade"}
        for group, source, wiser in (("a", "candour", "tact"), ("b", "tact", "candour"))
        for k in range(4)
    ]
    groups = {f"{group}{k}": group for group in "ab" for k in range(4)}
    graph = MoralGraph(cards).with_votes(votes).with_groups(groups)
    found = {}
    for group in "ab":
        mine = graph.of_group(group)
        found[group] = SystemMessage.of_principles(principles_of(aggregate(mine), mine.values), mine.values)
    assert found["a"].lines == ("tact: About tact. Attend to: MOMENTS of tact.",)
    assert found["b"].lines == ("candour: About candour. Attend to: MOMENTS of candour.",)
    assert found["a"].text.startswith("When you answer, attend to what follows")
    with pytest.raises(DataError, match="no card"):
        SystemMessage.of_principles(principles_of(aggregate(graph.of_group("a")), graph.values), {})


def test_context_stands_in_every_wording():
    message = SystemMessage.of_cards([ValuesCard("care", "", ["SIGNS of hurt"])], when="When a friend\nis in distress")
    for one in (message, *message.paraphrases()):
        assert "answer (When a friend is in distress)" in one.text


def test_tastes_are_what_sets_groups_apart():
    rng = np.random.default_rng(0)
    common = 5 * rng.normal(size=40)
    own = np.zeros((40, 3))
    for group in range(3):
        own[[10 * group, 10 * group + 1], group] = 8.0
    # Scale and zero of a group's rewards mean nothing.
    rewards = (common[:, None] + own) * [1.0, 20.0, 0.1] + [0.0, 100.0, -7.0]
    found = taste_messages(rewards, [f"text {i}" for i in range(40)], ["a", "b", "c"], n=2)
    for group, name in enumerate("abc"):
        liked = {line for line in found[name].lines if line.startswith("They like")}
        wanted = {f"They like: text {i}" for i in (10 * group, 10 * group + 1) if common[i] + 8 > common.mean() + 0.4}
        assert wanted <= liked and len(liked) == 2
    again = taste_messages(rewards[:, ::-1] * 3 + 1, [f"text {i}" for i in range(40)], ["c", "b", "a"], n=2)
    assert again == found


def test_tastes_need_texts_that_are_told_apart():
    with pytest.raises(DataError, match="'b' rewards all texts alike"):
        taste_messages([[1.0, 2.0], [2.0, 2.0]], ["x", "y"], ["a", "b"])
    with pytest.raises(DataError, match="shape"):
        taste_messages([[1.0, 2.0]], ["x", "y"], ["a", "b"])
    with pytest.raises(DataError, match="not finite"):
        taste_messages([[np.nan], [2.0]], ["x", "y"], ["a"])
    long = taste_messages([[1.0], [0.0]], ["x" * 50, "y"], ["a"], most_characters=10)["a"]
    assert long.lines[0] == f"They like: {'x' * 9}…"
    blank = taste_messages([[2.0], [1.0], [0.0]], [" ", "y", "z"], ["a"])["a"]
    assert blank.lines == ("They dislike: z",)


def test_what_each_group_is_told():
    model = Recorder()
    messages = {"a": SystemMessage.of_values(RECORDS), "b": SystemMessage.of_values(RECORDS[1:])}
    prompted = SystemPrompted(model, messages)
    assert isinstance(prompted, Conditioner) and prompted.groups == ("a", "b")
    prompted.generate(["x"], "b", n=3, max_tokens=5, temperature=0.5, top_p=0.9, rng=7)
    assert model.asked == [
        {"prompts": ["x"], "n": 3, "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "rng": 7,
         "system": messages["b"].text}
    ]  # fmt: skip
    others = prompted.paraphrased()
    assert [one.message("a") for one in others] == list(messages["a"].paraphrases())
    assert len({one.name for one in (prompted, *others)}) == len(others) + 1
    assert SystemPrompted(model, {"a": "Be kind."}).message("a").text == "Be kind."
    with pytest.raises(UsageError, match="no other wordings"):
        SystemPrompted(model, {"a": "Be kind."}).paraphrased()


def test_baselines():
    everybody, own = Recorder(), {"a": Recorder(), "b": Recorder()}
    single, bank = SinglePolicy(everybody, ["a", "b"], system="Be kind."), ModelBank(own)
    assert isinstance(single, Conditioner) and isinstance(bank, Conditioner)
    assert single.groups == bank.groups == ("a", "b")
    assert single.generate(["x"], "a") == single.generate(["x"], "b")
    assert everybody.asked[0]["system"] == "Be kind."
    bank.generate(["x"], "b", rng=3)
    assert not own["a"].asked and own["b"].asked[0]["rng"] == 3
    for conditioner in (single, bank, SystemPrompted(everybody, {"a": "x"})):
        with pytest.raises(UsageError, match="no group 'z'"):
            conditioner.generate(["x"], "z")
    for wrong in (ModelBank, lambda groups: SinglePolicy(everybody, tuple(groups))):
        with pytest.raises(UsageError, match="names of groups"):
            wrong({})
