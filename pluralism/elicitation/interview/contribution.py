"""What an interview adds to a moral graph: the card, what the participant calls the same, and the votes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluralism.elicitation.interview.state import InterviewState
from pluralism.errors import InterviewError

if TYPE_CHECKING:
    from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["contribute"]


def contribute(graph: MoralGraph, state: InterviewState, *, partial: bool = False) -> MoralGraph:
    """The graph with what an interview adds to it.

    Cards that the participant judged the same as their own are merged with it, which a moderator can undo; votes keep
    the ids of the cards that were shown.

    Parameters
    ----------
    graph : MoralGraph
    state : InterviewState
    partial : bool
        Whether an interview that is not done counts too, with what there is.

    Raises
    ------
    InterviewError
        The interview is withdrawn, or not done and `partial` is not set.
    """
    if state.halted == "withdrawn":
        raise InterviewError("The participant withdrew.", fix="Leave this interview out.")
    if state.phase != "done" and not partial:
        raise InterviewError(
            f"The interview is not done: {state.phase}.", fix="Pass partial=True to count it all the same."
        )
    shown = {item.source_id: item.source.card() for item in state.ballot or ()}
    shown |= {item.wiser_id: item.wiser.card() for item in state.ballot or ()}
    shown |= {proposal.card_id: proposal.card.card() for proposal in state.proposals or ()}
    own = None if state.card is None else state.card.card()
    if own is not None:
        shown[own.id] = own
    asked = tuple(item.hypothesis() for item in state.ballot or ())
    known = {hypothesis.id for hypothesis in graph.hypotheses}
    graph = graph.with_cards({name: card for name, card in shown.items() if name not in graph.cards})
    graph = graph.with_hypotheses(one for one in asked if one.id not in known)
    rows = state.vote_rows()
    if rows:
        graph = graph.with_votes(rows)
    for name, verdict in state.verdicts.items():
        if own is not None and verdict == "same" and graph.value_of(name) != graph.value_of(own.id):
            graph = graph.merge_cards(graph.value_of(own.id), graph.value_of(name), by=state.begun.participant)
    return graph
