"""Votes as comparisons that preference models fit, and comparisons as votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from pluralism.data import Comparisons, Items
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS, NO_UPGRADE, NOT_SURE, UPGRADE, VoteLog
from pluralism.errors import DataError, UsageError

__all__ = ["CardText", "card_text", "from_comparisons", "to_comparisons"]

CardText = Literal["card", "policies", "title"]
"""What stands for a value: title, description and policies; policies; or the title alone."""

_OUTCOME = {UPGRADE: 1.0, NO_UPGRADE: 0.0, NOT_SURE: 0.5}


def to_comparisons(
    graph: MoralGraph,
    *,
    text: CardText = "card",
    not_sure: Literal["tie", "drop"] = "tie",
    by_context: bool = True,
) -> Comparisons:
    """Ballots as comparisons: on the left the value that may be wiser, preferred where it is called so.

    Parameters
    ----------
    text : {"card", "policies", "title"}
    not_sure : {"tie", "drop"}
        Whether "not sure" is a tie, or left out.
    by_context : bool
        Whether a value in each context is an item of its own, with the context as its prompt; else contexts are
        pooled.

    Returns
    -------
    Comparisons
        Ids of items are those of the values, followed by "@" and the number of the context where there are several
        items for one value. Known groups of participants are kept; times are those of the last votes.
    """
    if text not in get_args(CardText) or not_sure not in ("tie", "drop"):
        raise UsageError(f"text={text!r}, not_sure={not_sure!r} are not possible.", fix="See help(to_comparisons).")
    ballots = graph.ballots()
    if not_sure == "drop":
        ballots = ballots.take(ballots.answer != NOT_SURE)
    n = len(graph.values)
    contexts = len(graph.contexts) if by_context else 1
    context = ballots.context.astype(np.int64) if by_context else np.zeros(len(ballots), dtype=np.int64)
    several = by_context and contexts > 1
    left, right = context * n + ballots.wiser, context * n + ballots.source
    used, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
    cards, ids = list(graph.values.values()), list(graph.values)
    items = Items(
        ids=[f"{ids[key % n]}@{key // n}" if several else ids[key % n] for key in used.tolist()],
        texts=[card_text(cards[key % n], text) for key in used.tolist()],
        prompts=[graph.contexts[key // n] for key in used.tolist()] if by_context and any(graph.contexts) else None,
    )
    people = ballots.participants.to_pylist()
    known = [graph.groups.get(name) for name in people]
    time = graph.votes.time[ballots.row]
    return Comparisons.from_arrays(
        codes[: len(ballots)],
        codes[len(ballots) :],
        user=ballots.participant,
        users=people,
        outcome=np.array([_OUTCOME[answer] for answer in ballots.answer.tolist()]),
        items=items,
        group=[known[person] for person in ballots.participant.tolist()] if any(known) else None,
        time=None if np.isnat(time).all() else time,
    )


def from_comparisons(comparisons: Comparisons, cards: Mapping[str, ValuesCard]) -> VoteLog:
    """Comparisons of values as votes: whether the left one is wiser than the right one.

    Parameters
    ----------
    comparisons : Comparisons
        Their items have ids of `cards`, perhaps followed by "@" and a number, and prompts as contexts.

    Raises
    ------
    DataError
        If an item is no card, or an outcome is neither 0, 1 nor 0.5.
    """
    named = map(str, comparisons.items.ids.to_pylist())
    ids = [name if name in cards else name.rsplit("@", 1)[0] for name in named]
    unknown = [name for name in ids if name not in cards]
    if unknown:
        raise DataError(f"The item {unknown[0]!r} is no card.", fix="Give the cards of the values compared.")
    answers = {outcome: ANSWERS[answer] for answer, outcome in _OUTCOME.items()}
    odd = [row for row, outcome in enumerate(comparisons.outcome.tolist()) if outcome not in answers]
    if odd:
        raise DataError(
            f"The outcome {comparisons.outcome[odd[0]]!r} is no answer.",
            where=f"row {odd[0] + 1}",
            fix="Use 0, 0.5, 1.",
        )
    prompts = comparisons.items.prompts
    names = [""] * len(ids) if prompts is None else [prompt or "" for prompt in prompts.to_pylist()]
    frame = {
        "participant": comparisons.users.take(pa.array(comparisons.user)),
        "source": [ids[code] for code in comparisons.right.tolist()],
        "wiser": [ids[code] for code in comparisons.left.tolist()],
        "context": [names[code] for code in comparisons.left.tolist()],
        "answer": [answers[outcome] for outcome in comparisons.outcome.tolist()],
    }
    if comparisons.time is not None:
        frame["time"] = comparisons.time
    return VoteLog.from_frame(frame)


def card_text(card: ValuesCard, text: CardText = "card") -> str:
    """A card as a text, in the form that is asked for."""
    if text == "title":
        return card.title
    policies = "\n".join(f"- {policy}" for policy in card.policies)
    if text == "policies":
        return policies
    return "\n".join([card.title, *([card.description] if card.description else []), policies])
