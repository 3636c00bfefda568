"""Language models that answer dilemmas and score texts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tiny_chat import save_tiny_chat

from pluralism.errors import UsageError
from pluralism.llm import ScriptedChat, TransformersChat
from pluralism.progress.model_scorers import model_respondent, model_text_scorer
from pluralism.progress.text_corpus import TextCorpus
from pluralism.progress.value_scorer import ValueItems

VIRTUES = {
    "context": ["A friend is bullied.", "A bill is wrong in your favour."],
    "generation_theme": ["Harm_Care", "Fairness_Reciprocity"],
    "action1": ["I step in at once", "I say that it is wrong"],
    "action2": ["I look away from it", "I pay what the bill says"],
}


def listed(request) -> dict[str, str]:
    """Label and option, as the model is shown them."""
    return dict(re.findall(r"^([A-D]): (.+)$", request.messages[-1].content, re.MULTILINE))


def test_content_counts_and_places_do_not() -> None:
    items = ValueItems.read(foundation=VIRTUES)
    liking = {"I step in at once": 0.9, "I look away from it": 0.1, "I say that it is wrong": 0.3}

    def by_content(request):
        return {option: liking.get(option, 0.7) for option in listed(request).values()}

    def by_place(request):
        return {option: 0.8 if label == "A" else 0.2 for label, option in listed(request).items()}

    found = items.score(model_respondent(ScriptedChat(by_content)))
    np.testing.assert_allclose(found.values[10:12], [0.8, -0.4])
    np.testing.assert_allclose(items.score(model_respondent(ScriptedChat(by_place))).values[10:12], 0.0, atol=1e-12)


@pytest.mark.slow
def test_a_local_model_answers_and_its_liking_for_places_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="local models need the extra: pip install 'pluralism[embed]'")
    model = TransformersChat(save_tiny_chat(tmp_path), device="cpu", dtype="float32")
    items = ValueItems.read(foundation=VIRTUES)
    respond = model_respondent(model)
    answers = np.stack([respond(items.contexts, [o, o[::-1]]) for o in items.options])
    assert answers.shape == (2, 2, 2) and np.allclose(answers.sum(axis=-1), 1)
    found = items.score(respond)
    shown = [respond(items.contexts, [o[::step] for o in items.options]) for step in (1, -1)]
    expected = (shown[0][:, 0] + shown[1][:, 1]) - 1
    np.testing.assert_allclose(found.values[10:12], expected, atol=1e-6)


def test_texts_are_scored_by_questions(tmp_path: Path) -> None:
    for year, text in ((1700, "mercy"), (1701, "law {question}"), (1702, " ")):
        rows = [{"content": text, "creation_year": year, "source_dataset": "s"}]
        (tmp_path / f"Y{year}.json").write_text(json.dumps(rows))

    def judge(request):
        text = request.messages[-1].content.split("\n")[2]
        return {"yes": 0.9, "no": 0.1} if "mercy" in text else {"yes": 0.2, "no": 0.2}

    score = model_text_scorer(ScriptedChat(judge), {"care": "Does it praise mercy?"})
    table = TextCorpus.read(tmp_path).trajectory(score, ["care"])
    np.testing.assert_allclose(table.values[:, 0, 0], [0.9, 0.5])
    assert table.times.tolist() == [1700, 1701]


def test_wordings_need_their_places() -> None:
    model = ScriptedChat([])
    with pytest.raises(UsageError, match=r"no \{context\}"):
        model_respondent(model, wording="Choose.")
    with pytest.raises(UsageError, match=r"no \{question\}"):
        model_text_scorer(model, {"a": "Is it?"}, wording="{text}")
    with pytest.raises(UsageError, match="no questions"):
        model_text_scorer(model, {})
