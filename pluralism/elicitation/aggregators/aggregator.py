"""What an aggregator is: a rule that scores values, on the counts observed and on many resamples of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float

from pluralism.elicitation.ballots import Unit
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError

__all__ = ["Aggregator", "Note", "Scores", "View", "aggregator", "check_option"]

View = Literal["pooled", "contexts"]
"""Whether a rule sees the counts of all contexts added up, or each context by itself."""


class Scores(NamedTuple):
    """What a rule says of each draw of counts.

    Attributes
    ----------
    scores : array of shape (draws, values)
        Higher is wiser; NaN for values of which the rule says nothing.
    kept : array of shape (draws, edges), optional
        The edges that the rule counts, where it leaves some out.
    """

    scores: Float[np.ndarray, "draws values"]
    kept: Bool[np.ndarray, "draws edges"] | None = None


class Note(Protocol):
    """Keeps a detail of the result on the observed counts; does nothing for resamples."""

    def __call__(self, name: str, value: Any, per: Literal["edge", "value", ""] = "") -> None:
        """Note a detail.

        Parameters
        ----------
        name : str
        value : plain value or array
        per : {"edge", "value", ""}
            What an array has one number for.
        """


@dataclass(frozen=True)
class Aggregator:
    """A rule that scores values by answers on pairs.

    Attributes
    ----------
    name : str
    source : str
        Where the rule is defined.
    view : {"pooled", "contexts"}
    unit : {"context", "pair"}
        What a person has one ballot for; see `pluralism.elicitation.ballots`.
    n_bootstrap : int
        Resamples that `aggregate` draws where the caller does not say.
    monotone : bool
        Whether one more upgrade vote from a to b can never worsen the place of b.
    needs_groups : bool
        Whether the counts have an axis of groups, behind that of the edges.
    has_prior : bool
        Whether the rule shrinks towards a prior. In a bootstrap it then takes `prior_rng`, from which to draw what the
        prior does not know; without that, intervals of shrunken scores would be too short.
    borrows : bool
        Whether a context learns from the others: the rule then sees all of them, and `chosen` says which is asked for.
    function : callable
        ``function(graph, counts, note, **options) -> Scores``; `counts` has the shape (draws, edges, 3), or (draws,
        edges, groups, 3) with groups; those observed are `graph.counts`.
    """

    name: str
    source: str
    view: View
    unit: Unit
    n_bootstrap: int
    monotone: bool
    needs_groups: bool
    borrows: bool
    has_prior: bool
    function: Callable[..., Scores] = field(repr=False)

    def __call__(self, graph: CountedGraph, counts: np.ndarray, note: Note, **options: Any) -> Scores:
        """Score values; see `function`."""
        return self.function(graph, counts, note, **options)


def aggregator(
    name: str,
    *,
    source: str,
    view: View = "pooled",
    unit: Unit = "context",
    n_bootstrap: int = 0,
    monotone: bool = True,
    needs_groups: bool = False,
    borrows: bool = False,
    has_prior: bool = False,
) -> Callable[[Callable[..., Scores]], Aggregator]:
    """Make an `Aggregator` of a function; the parameters are its attributes."""

    def decorate(function: Callable[..., Scores]) -> Aggregator:
        made = Aggregator(name, source, view, unit, n_bootstrap, monotone, needs_groups, borrows, has_prior, function)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return decorate


def check_option(name: str, value: Any, allowed: Mapping[str, Any] | tuple[Any, ...]) -> None:
    """Refuse an option that is not among those allowed.

    Raises
    ------
    UsageError
    """
    if value not in allowed:
        raise UsageError(f"{name}={value!r} is not possible.", fix=f"Use one of {', '.join(map(repr, allowed))}.")
