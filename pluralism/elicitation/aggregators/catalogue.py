"""The aggregators by name."""

from __future__ import annotations

from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.bradley_terry import bradley_terry
from pluralism.elicitation.aggregators.bridging import bridging
from pluralism.elicitation.aggregators.copeland import copeland
from pluralism.elicitation.aggregators.corrected import corrected
from pluralism.elicitation.aggregators.hierarchical_bradley_terry import hierarchical_bradley_terry
from pluralism.elicitation.aggregators.hodge_rank import hodge_rank
from pluralism.elicitation.aggregators.in_strength import in_strength
from pluralism.elicitation.aggregators.kemeny import kemeny
from pluralism.elicitation.aggregators.rank_centrality import rank_centrality
from pluralism.elicitation.aggregators.ranked_pairs import ranked_pairs
from pluralism.elicitation.aggregators.reference import reference
from pluralism.elicitation.aggregators.schulze import schulze
from pluralism.elicitation.aggregators.weighted_pagerank import weighted_pagerank
from pluralism.errors import UsageError

__all__ = ["aggregators", "find_aggregator"]

_AGGREGATORS = (
    bradley_terry,
    hierarchical_bradley_terry,
    corrected,
    weighted_pagerank,
    in_strength,
    rank_centrality,
    hodge_rank,
    copeland,
    schulze,
    ranked_pairs,
    kemeny,
    bridging,
    reference,
)


def aggregators() -> dict[str, Aggregator]:
    """All aggregators, by name."""
    return {each.name: each for each in _AGGREGATORS}


def find_aggregator(name: str | Aggregator) -> Aggregator:
    """An aggregator by its name, such as "bradley-terry"; underscores count as hyphens.

    Raises
    ------
    UsageError
        If there is none of that name; the message lists those there are.
    """
    if isinstance(name, Aggregator):
        return name
    known = aggregators()
    wanted = str(name).replace("_", "-")
    if wanted not in known:
        raise UsageError(f"There is no aggregator {name!r}.", fix=f"Aggregators are {', '.join(sorted(known))}.")
    return known[wanted]
