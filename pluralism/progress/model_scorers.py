"""Language models as respondents of dilemmas and as scorers of texts, through `pluralism.llm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.llm.chat_model import ChatModel, Method
from pluralism.progress.text_corpus import TextScorer
from pluralism.progress.value_scorer import Respondent

__all__ = ["model_respondent", "model_text_scorer"]

WORDING = "{context}\n\nWhich of these would you choose?"
QUESTION = "Here is a text.\n\n{text}\n\n{question}"


def model_respondent(model: ChatModel, *, wording: str = WORDING, method: Method = "auto") -> Respondent:
    """A respondent for `ValueItems.score`: the model chooses among the options as they are shown.

    Parameters
    ----------
    model : ChatModel
        Local (`TransformersChat`, whose probabilities are exact) or hosted.
    wording : str
        What is asked, with ``{context}`` where the dilemma goes; the options are listed below it.
    method : {"auto", "logprobs", "sampled"}
        As for `ChatModel.choose`.

    Raises
    ------
    UsageError
        If the wording has no place for the context.
    """
    _needs(wording, "{context}")

    def respond(contexts: Sequence[str], options: Sequence[Sequence[str]]) -> Float[np.ndarray, "items options"]:
        rows = [
            model.choose(_asked(wording.replace("{context}", context)), list(shown), method=method).probabilities
            for context, shown in zip(contexts, options, strict=True)
        ]
        return np.stack(rows)

    return respond


def model_text_scorer(
    model: ChatModel, questions: Mapping[str, str], *, wording: str = QUESTION, method: Method = "auto"
) -> TextScorer:
    """A scorer for `TextCorpus.trajectory`: the probability of yes to a question about each text.

    Parameters
    ----------
    model : ChatModel
    questions : mapping of str to str
        A question that is answered by yes or no, for each dimension.
    wording : str
        With ``{text}`` and ``{question}``.
    method : {"auto", "logprobs", "sampled"}
        As for `ChatModel.choose`.

    Returns
    -------
    callable
        Texts without content are NaN.

    Raises
    ------
    UsageError
        If there are no questions, or the wording lacks a place.
    """
    if not questions:
        raise UsageError("There are no questions.", fix="Give one for each dimension.")
    _needs(wording, "{text}", "{question}")

    def score(texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        made = np.full((len(texts), len(questions)), np.nan)
        for row, text in enumerate(texts):
            for d, question in enumerate(questions.values()):
                if text.strip():
                    # The question goes in first: a text may hold what looks like a place for it.
                    asked = wording.replace("{question}", question).replace("{text}", text)
                    made[row, d] = model.choose(_asked(asked), ["yes", "no"], method=method).probabilities[0]
        return made

    return score


def _asked(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def _needs(wording: str, *places: str) -> None:
    missing = [place for place in places if place not in wording]
    if missing:
        raise UsageError(f"The wording has no {missing[0]}.", fix=f"Put {missing[0]} where it goes.")
