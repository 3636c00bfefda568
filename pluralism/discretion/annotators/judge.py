"""A language model as annotator: as a judge that is asked in both orders, or by the likelihood of the responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
from scipy.special import expit

from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.judging import Asking, judge_pairs
from pluralism.discretion.questions import DistinctPairs
from pluralism.errors import DataError
from pluralism.llm import ChatModel

if TYPE_CHECKING:
    from pluralism.llm import TransformersChat

__all__ = ["BETTER", "judge_verdicts", "likelihood_verdicts"]

BETTER = "Which response is better?"


def judge_verdicts(
    comparisons: Comparisons,
    model: ChatModel,
    *,
    question: str = BETTER,
    name: str | None = None,
    **asking: Unpack[Asking],
) -> Verdicts:
    """Verdicts of a judge on the pairs, averaged over both orders; one that is as sure of either side has no opinion.

    Parameters
    ----------
    comparisons : Comparisons
        Of items with texts.
    model : ChatModel
    question : str
    name : str, optional
        Left out, the model's.
    **asking
        `order`, `method`, `samples`, `workers`, `progress` and `rng`, as in `pluralism.discretion.judging.judge_pairs`.

    Returns
    -------
    Verdicts
        With the share of pairs on which the judge contradicts itself, where both orders were shown.
    """
    pairs = DistinctPairs.of(comparisons)
    judged = judge_pairs(model, pairs, [question], **asking)
    sides = judged.balanced[:, 0]
    decided = sides.sum(axis=1)
    # "neither" as the likeliest verdict is no opinion
    silent = (1.0 - decided > sides.max(axis=1)) | (decided <= 0)
    first = np.where(silent, 0.5, sides[:, 0] / np.where(decided > 0, decided, 1.0))
    swap = judged.swap(["better"])
    conflict = None if swap is None or np.isnan(swap.conflict[0]) else float(swap.conflict[0])
    rows = first[pairs.of_row]
    return Verdicts(name or model.name, np.where(pairs.turned, 1.0 - rows, rows), conflict=conflict)


def likelihood_verdicts(
    comparisons: Comparisons, model: TransformersChat, *, name: str | None = None, per_word: bool = False
) -> Verdicts:
    """Verdicts of a causal language model: the response that it would sooner give is preferred.

    Parameters
    ----------
    comparisons : Comparisons
        Of items with texts and prompts.
    model : TransformersChat
        A local model; its `log_probabilities` of the responses to the prompt are compared.
    name : str, optional
        Left out, the model's.
    per_word : bool
        Divide by the number of words, since longer responses are less likely.

    Raises
    ------
    DataError
        If items have no texts, or those of a pair answer no prompt, or different ones.
    """
    pairs = DistinctPairs.of(comparisons)
    scores: dict[int, float] = {}
    by_prompt: dict[str, list[int]] = {}
    for question in range(len(pairs)):
        asked, _, _ = pairs.texts(question)
        both = int(pairs.first[question]), int(pairs.second[question])
        if not asked:
            raise DataError(
                "Likelihoods are of responses to one prompt.",
                where=f"items {comparisons.items.ids[both[0]]} and {comparisons.items.ids[both[1]]}",
                fix="Give items with prompts, and compare answers to the same one.",
            )
        by_prompt.setdefault(asked, []).extend(item for item in both if item not in scores)
        scores |= dict.fromkeys(both, np.nan)
    texts = comparisons.items.texts
    for asked, members in by_prompt.items():
        replies = [str(texts[item]) for item in members] if texts is not None else []
        if not replies:
            continue
        found = model.log_probabilities([{"role": "user", "content": asked}], replies)
        for item, reply, value in zip(members, replies, found, strict=True):
            scores[item] = float(value) / (max(len(reply.split()), 1) if per_word else 1)
    lead = np.array([scores[int(a)] - scores[int(b)] for a, b in zip(comparisons.left, comparisons.right, strict=True)])
    return Verdicts(name or model.name, expit(lead))
