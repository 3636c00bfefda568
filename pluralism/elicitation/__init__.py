"""What people value, asked and counted: values cards, moral graphs that say how sure they are, and what to ask next.

A `MoralGraph` is a function of its cards and of an append-only log of votes; `aggregate` ranks its values by many rules
behind one interface and says how sure that is::

    from pluralism.elicitation import MoralGraph, ValuesCard, aggregate

    graph = MoralGraph.of_cards(cards).with_votes(frame)
    aggregate(graph, rule="bradley-terry", context="When a friend is in distress", n_bootstrap=1000)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "ChatMediator": "neighbours.chat_mediator",
    "CountedGraph": "counted_graph",
    "GraphRanking": "aggregators.ranking",
    "HindsightJudge": "neighbours.hindsight",
    "MoralGraph": "moral_graph",
    "UpgradeHypothesis": "hypothesis",
    "ValuesCard": "values_card",
    "VoteLog": "vote_log",
    "aggregate": "aggregators.aggregate",
    "aggregator_agreement": "structure.agreement",
    "aggregators": "aggregators.catalogue",
    "audit": "hash_chain",
    "chat_judge": "neighbours.chat_outcomes",
    "chat_predictor": "neighbours.interview_gain",
    "chat_world": "neighbours.chat_outcomes",
    "cluster_cards": "duplicates",
    "deliberate": "neighbours.deliberation",
    "edge_posteriors": "uncertainty.edge_posterior",
    "feedback_arcs": "structure.feedback_arcs",
    "find_duplicates": "duplicates",
    "from_pool": "neighbours.generative_slate",
    "from_published": "exports.published_json",
    "gain_of_interview": "neighbours.interview_gain",
    "generative_slate": "neighbours.generative_slate",
    "graph_difference": "difference",
    "graph_page": "exports.page",
    "graph_shape": "structure.shape",
    "learning_curve": "query_selection.learning_curve",
    "lint_card": "card_lint",
    "lint_cards": "card_lint",
    "markdown_report": "exports.markdown",
    "mean_gain": "neighbours.predictive_gain",
    "participant_influence": "structure.influence",
    "predictive_gain": "neighbours.predictive_gain",
    "principles_of": "exports.principles",
    "prompt_informativeness": "query_selection.prompt_informativeness",
    "rank_statements": "neighbours.deliberation",
    "read_any_graph": "exports.graph_files",
    "response_styles": "structure.response_styles",
    "seal": "hash_chain",
    "select_comparisons": "query_selection.select_comparisons",
    "select_questions": "query_selection.select_questions",
    "simulate_people": "simulation.people",
    "simulate_study": "simulation.study",
    "statement_priorities": "neighbours.consensus_routing",
    "statement_rater": "neighbours.chat_statements",
    "statement_writer": "neighbours.chat_statements",
    "to_comparisons": "exports.comparisons",
    "to_published": "exports.published_json",
    "transitivity": "structure.transitivity",
    "votes_needed": "structure.votes_needed",
    "voting_curve": "simulation.voting_curve",
    "write_graph": "exports.graph_files",
}

__all__ = [
    "ChatMediator",
    "CountedGraph",
    "GraphRanking",
    "HindsightJudge",
    "MoralGraph",
    "UpgradeHypothesis",
    "ValuesCard",
    "VoteLog",
    "aggregate",
    "aggregator_agreement",
    "aggregators",
    "audit",
    "chat_judge",
    "chat_predictor",
    "chat_world",
    "cluster_cards",
    "deliberate",
    "edge_posteriors",
    "feedback_arcs",
    "find_duplicates",
    "from_pool",
    "from_published",
    "gain_of_interview",
    "generative_slate",
    "graph_difference",
    "graph_page",
    "graph_shape",
    "learning_curve",
    "lint_card",
    "lint_cards",
    "markdown_report",
    "mean_gain",
    "participant_influence",
    "predictive_gain",
    "principles_of",
    "prompt_informativeness",
    "rank_statements",
    "read_any_graph",
    "response_styles",
    "seal",
    "select_comparisons",
    "select_questions",
    "simulate_people",
    "simulate_study",
    "statement_priorities",
    "statement_rater",
    "statement_writer",
    "to_comparisons",
    "to_published",
    "transitivity",
    "votes_needed",
    "voting_curve",
    "write_graph",
]

if TYPE_CHECKING:
    from pluralism.elicitation.aggregators.aggregate import aggregate
    from pluralism.elicitation.aggregators.catalogue import aggregators
    from pluralism.elicitation.aggregators.ranking import GraphRanking
    from pluralism.elicitation.card_lint import lint_card, lint_cards
    from pluralism.elicitation.counted_graph import CountedGraph
    from pluralism.elicitation.difference import graph_difference
    from pluralism.elicitation.duplicates import cluster_cards, find_duplicates
    from pluralism.elicitation.exports.comparisons import to_comparisons
    from pluralism.elicitation.exports.graph_files import read_any_graph, write_graph
    from pluralism.elicitation.exports.markdown import markdown_report
    from pluralism.elicitation.exports.page import graph_page
    from pluralism.elicitation.exports.principles import principles_of
    from pluralism.elicitation.exports.published_json import from_published, to_published
    from pluralism.elicitation.hash_chain import audit, seal
    from pluralism.elicitation.hypothesis import UpgradeHypothesis
    from pluralism.elicitation.moral_graph import MoralGraph
    from pluralism.elicitation.neighbours.chat_mediator import ChatMediator
    from pluralism.elicitation.neighbours.chat_outcomes import chat_judge, chat_world
    from pluralism.elicitation.neighbours.chat_statements import statement_rater, statement_writer
    from pluralism.elicitation.neighbours.consensus_routing import statement_priorities
    from pluralism.elicitation.neighbours.deliberation import deliberate, rank_statements
    from pluralism.elicitation.neighbours.generative_slate import from_pool, generative_slate
    from pluralism.elicitation.neighbours.hindsight import HindsightJudge
    from pluralism.elicitation.neighbours.interview_gain import chat_predictor, gain_of_interview
    from pluralism.elicitation.neighbours.predictive_gain import mean_gain, predictive_gain
    from pluralism.elicitation.query_selection.learning_curve import learning_curve
    from pluralism.elicitation.query_selection.prompt_informativeness import prompt_informativeness
    from pluralism.elicitation.query_selection.select_comparisons import select_comparisons
    from pluralism.elicitation.query_selection.select_questions import select_questions
    from pluralism.elicitation.simulation.people import simulate_people
    from pluralism.elicitation.simulation.study import simulate_study
    from pluralism.elicitation.simulation.voting_curve import voting_curve
    from pluralism.elicitation.structure.agreement import aggregator_agreement
    from pluralism.elicitation.structure.feedback_arcs import feedback_arcs
    from pluralism.elicitation.structure.influence import participant_influence
    from pluralism.elicitation.structure.response_styles import response_styles
    from pluralism.elicitation.structure.shape import graph_shape
    from pluralism.elicitation.structure.transitivity import transitivity
    from pluralism.elicitation.structure.votes_needed import votes_needed
    from pluralism.elicitation.uncertainty.edge_posterior import edge_posteriors
    from pluralism.elicitation.values_card import ValuesCard
    from pluralism.elicitation.vote_log import VoteLog


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.elicitation.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.elicitation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
