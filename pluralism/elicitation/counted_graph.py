"""A moral graph as counts: how many answers of each kind every ordered pair of values has in every context."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Int32, Int64

from pluralism.data.arrays import frozen
from pluralism.elicitation.ballots import Ballots
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.errors import DataError, UsageError

__all__ = ["CountedGraph"]


@dataclass(frozen=True, eq=False, repr=False)
class CountedGraph:
    """Counts of answers on ordered pairs of values.

    Parameters
    ----------
    cards : mapping of str to ValuesCard
        The values by id, in the order of the codes.
    contexts : tuple of str
        Names of contexts; "" stands for none named, or for all pooled.
    source, wiser, context : int32 arrays of shape (edges,)
        Codes; each triple occurs once, and the two values differ.
    counts : array of shape (edges, 3)
        Answers upgrade, no_upgrade and not_sure: whole numbers, or weights in a resample.
    judged_in : tuple of tuples of str, optional
        Of a pooled graph: the contexts in which each edge was judged.

    Raises
    ------
    DataError
        If codes are out of range, an edge occurs twice or leads to itself, or a count is negative.
    """

    cards: Mapping[str, ValuesCard]
    contexts: tuple[str, ...]
    source: Int32[np.ndarray, " edges"]
    wiser: Int32[np.ndarray, " edges"]
    context: Int32[np.ndarray, " edges"]
    counts: Int64[np.ndarray, "edges answers"] | Float[np.ndarray, "edges answers"]
    judged_in: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        n, edges = len(self.cards), len(self.source)
        for name, size in (("source", n), ("wiser", n), ("context", len(self.contexts))):
            codes = getattr(self, name)
            if codes.shape != (edges,) or (edges and not (0 <= codes.min() and codes.max() < size)):
                raise DataError(f"Codes of {name!r} are not between 0 and {size - 1}.", fix="Check the edges.")
            frozen(codes)
        if self.counts.shape != (edges, len(ANSWERS)) or not np.isfinite(self.counts).all() or (self.counts < 0).any():
            raise DataError(
                f"Counts are {edges} x 3 numbers of at least 0.", fix="Count upgrade, no_upgrade and not_sure."
            )
        frozen(self.counts)
        if (self.source == self.wiser).any():
            raise DataError("An edge leads from a value to itself.", fix="Leave it out.")
        if len(np.unique(self._key)) < edges:
            raise DataError("An edge occurs twice in one context.", fix="Add up its counts.")

    @classmethod
    def of_ballots(cls, ballots: Ballots, cards: Mapping[str, ValuesCard], contexts: Sequence[str]) -> CountedGraph:
        """Count ballots; edges are sorted by context, source and wiser value."""
        n, key = len(cards), edge_key(ballots.source, ballots.wiser, ballots.context, len(cards))
        edges, where = np.unique(key, return_inverse=True)
        counts = np.bincount(where * len(ANSWERS) + ballots.answer, minlength=len(edges) * len(ANSWERS))
        codes = (edges // n % n, edges % n, edges // (n * n))
        source, wiser, context = (column.astype(np.int32) for column in codes)
        return cls(dict(cards), tuple(contexts), source, wiser, context, counts.reshape(-1, len(ANSWERS)))

    @cached_property
    def _key(self) -> Int64[np.ndarray, " edges"]:
        return edge_key(self.source, self.wiser, self.context, len(self.cards))

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the values, in the order of the codes."""
        return tuple(self.cards)

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the values, in the order of the codes."""
        return tuple(card.title for card in self.cards.values())

    @property
    def n_values(self) -> int:
        """Values, with or without an edge."""
        return len(self.cards)

    @property
    def n_edges(self) -> int:
        """Ordered pairs judged, once for each context."""
        return len(self.source)

    @property
    def upgrade(self) -> np.ndarray:
        """Answers (edges,) that the second value is wiser."""
        return self.counts[:, 0]

    @property
    def no_upgrade(self) -> np.ndarray:
        """Answers (edges,) that it is not."""
        return self.counts[:, 1]

    @property
    def not_sure(self) -> np.ndarray:
        """Answers (edges,) of those who could not tell."""
        return self.counts[:, 2]

    @cached_property
    def reverse(self) -> Int[np.ndarray, " edges"]:
        """Position of the edge that leads back in the same context; -1 where nobody judged it."""
        back = edge_key(self.wiser, self.source, self.context, self.n_values)
        order = np.argsort(self._key)
        place = np.searchsorted(self._key, back, sorter=order)
        found = order[np.minimum(place, max(self.n_edges - 1, 0))] if self.n_edges else order
        return np.where(self._key[found] == back, found, -1)

    def backwards(self, answer: int = 0) -> np.ndarray:
        """Answers of one kind (upgrade by default) on the reversed edges, 0 where nobody judged them."""
        return np.where(self.reverse >= 0, self.counts[self.reverse, answer], 0) if self.n_edges else self.counts[:, 0]

    def pooled(self) -> CountedGraph:
        """All contexts as one: the counts of a pair are added up."""
        key = edge_key(self.source, self.wiser, np.zeros_like(self.context), self.n_values)
        edges, where = np.unique(key, return_inverse=True)
        counts = np.zeros((len(edges), len(ANSWERS)), dtype=self.counts.dtype)
        np.add.at(counts, where, self.counts)
        judged: list[list[str]] = [[] for _ in edges]
        for e, (edge, context) in enumerate(zip(where.tolist(), self.context.tolist(), strict=True)):
            judged[edge] += [self.contexts[context]] if self.judged_in is None else self.judged_in[e]
        return CountedGraph(
            self.cards,
            ("",),
            (edges // self.n_values).astype(np.int32),
            (edges % self.n_values).astype(np.int32),
            np.zeros(len(edges), dtype=np.int32),
            counts,
            tuple(tuple(names) for names in judged),
        )

    @cached_property
    def pooling(self) -> Int64[np.ndarray, " edges"]:
        """Which edge of `pooled()` each edge goes into."""
        key = edge_key(self.source, self.wiser, np.zeros_like(self.context), self.n_values)
        return np.unique(key, return_inverse=True)[1].astype(np.int64)

    def of_contexts(self, names: Sequence[str]) -> CountedGraph:
        """The edges of some contexts; all values and contexts stay.

        Raises
        ------
        UsageError
            If a context is unknown.
        """
        unknown = [name for name in names if name not in self.contexts]
        if unknown:
            raise UsageError(
                f"There is no context {unknown[0]!r}.",
                fix=f"Contexts are {', '.join(map(repr, self.contexts[:8]))}{', ...' * (len(self.contexts) > 8)}.",
            )
        return self.take(np.isin(self.context, [self.contexts.index(name) for name in names]))

    def take(self, keep: Bool[np.ndarray, " edges"]) -> CountedGraph:
        """The edges of a mask."""
        judged = None if self.judged_in is None else tuple(self.judged_in[i] for i in np.flatnonzero(keep))
        return replace(
            self,
            source=self.source[keep],
            wiser=self.wiser[keep],
            context=self.context[keep],
            counts=self.counts[keep],
            judged_in=judged,
        )

    def with_counts(self, counts: np.ndarray) -> CountedGraph:
        """The same edges with other counts."""
        return replace(self, counts=counts)

    def to_frame(self) -> pa.Table:
        """One row an edge: `source, wiser, source_title, wiser_title, context, upgrade, no_upgrade, not_sure`."""
        ids, titles = pa.array(self.ids, pa.large_string()), pa.array(self.titles, pa.large_string())
        source, wiser = pa.array(self.source), pa.array(self.wiser)
        columns: dict[str, Any] = {
            "source": ids.take(source),
            "wiser": ids.take(wiser),
            "source_title": titles.take(source),
            "wiser_title": titles.take(wiser),
            "context": pa.array(self.contexts, pa.large_string()).take(pa.array(self.context)),
        }
        columns |= {name: self.counts[:, k] for k, name in enumerate(ANSWERS)}
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """Values and edges as plain types."""
        return {
            "values": [{"id": name, **card.to_dict()} for name, card in self.cards.items()],
            "contexts": list(self.contexts),
            "edges": self.to_frame().drop_columns(["source_title", "wiser_title"]).to_pylist(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        total = self.counts.sum()
        where = f" in {len(self.contexts):,} contexts" if len(self.contexts) > 1 else ""
        return f"CountedGraph({self.n_values:,} values, {self.n_edges:,} pairs judged{where}, {total:,.10g} answers)"


def edge_key(
    source: Int[np.ndarray, " edges"], wiser: Int[np.ndarray, " edges"], context: Int[np.ndarray, " edges"], n: int
) -> Int64[np.ndarray, " edges"]:
    """One number for each triple, sorted by context, source and wiser value."""
    return (context.astype(np.int64) * n + source) * n + wiser
