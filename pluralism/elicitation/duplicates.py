"""Cards that may say the same: proposals for people to confirm, never merges made behind their backs.

Texts become vectors of an encoder: hashed words, character n-grams weighed by how rare they are (TF-IDF), or a sentence
encoder. Two cards are as alike as their policies are on average, each with the most alike policy of the other card, so
that cards that share one policy of four are not taken for the same. Vectors say how alike texts are; whether the author
of one card would feel fully captured by the other is a question for the author.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.embeddings import Encoder, resolve
from pluralism.errors import UsageError

__all__ = ["CardClusters", "DuplicateProposal", "card_similarities", "cluster_cards", "find_duplicates"]

Linkage = Literal["complete", "average", "single"]
"""How alike two groups of cards are: as their least alike cards, on average, or as their most alike ones."""

Compare = Literal["policies", "text"]
"""Whether policies are matched one by one, or all of a card are one text."""

THRESHOLD = 0.5


@dataclass(frozen=True)
class DuplicateProposal:
    """Two cards that may be the same.

    Attributes
    ----------
    card, other : str
        Ids.
    similarity : float
        In [-1, 1].
    """

    card: str
    other: str
    similarity: float


@dataclass(frozen=True, eq=False, repr=False)
class CardClusters:
    """Cards in groups that may each be one value.

    Attributes
    ----------
    ids : tuple of str
    label : int array of shape (cards,)
        Group of each card, the largest first.
    representatives : tuple of str
        Of each group the card that is most like the others.
    similarity : array of shape (cards,)
        Of each card with the representative of its group.
    titles : tuple of str
    """

    ids: tuple[str, ...]
    label: Int[np.ndarray, " cards"]
    representatives: tuple[str, ...]
    similarity: Float[np.ndarray, " cards"]
    titles: tuple[str, ...]

    @property
    def proposals(self) -> tuple[DuplicateProposal, ...]:
        """Each card that is not a representative, with that of its group; the surest first."""
        found = [
            DuplicateProposal(name, self.representatives[label], float(alike))
            for name, label, alike in zip(self.ids, self.label, self.similarity, strict=True)
            if name != self.representatives[label]
        ]
        return tuple(sorted(found, key=lambda proposal: -proposal.similarity))

    def merged(self, graph: MoralGraph, *, by: str, time: str = "") -> MoralGraph:
        """The graph in which every proposal is a merge, decided by somebody who is named; each can be undone."""
        for proposal in self.proposals:
            graph = graph.merge_cards(proposal.card, proposal.other, by=by, time=time)
        return graph

    def to_frame(self) -> pa.Table:
        """Columns `id, title, cluster, representative, similarity`."""
        return pa.table(
            {
                "id": list(self.ids),
                "title": list(self.titles),
                "cluster": self.label,
                "representative": [self.representatives[label] for label in self.label],
                "similarity": self.similarity,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`."""
        return {"cards": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        sizes = np.bincount(self.label) if len(self.label) else np.zeros(0, dtype=np.int64)
        several = int((sizes > 1).sum())
        return f"CardClusters({len(self.ids):,} cards in {len(sizes):,} groups, {several:,} of more than one card)"


def find_duplicates(
    cards: Mapping[str, ValuesCard] | MoralGraph,
    card: ValuesCard | None = None,
    *,
    encoder: str | Encoder = "tfidf",
    compare: Compare = "policies",
    threshold: float = THRESHOLD,
    most: int = 5,
) -> tuple[DuplicateProposal, ...]:
    """Pairs of cards that may be the same, the most alike first; or what a new card may be the same as.

    Parameters
    ----------
    cards : mapping of str to ValuesCard, or MoralGraph
        Cards by id, or the values of a graph.
    card : ValuesCard, optional
        A new card; left out, all pairs are compared.
    encoder : str or Encoder
        "tfidf", or what `pluralism.embeddings.resolve` takes, such as "hash:512" or "minilm".
    compare : {"policies", "text"}
    threshold : float
        Least similarity of a proposal.
    most : int
        Proposals for each card.
    """
    known = _cards(cards)
    if most < 1:
        raise UsageError(f"most={most!r} is not possible.", fix="Use a whole number of at least 1.")
    given = list(known.values()) + ([] if card is None else [card])
    ids = [*known, *([] if card is None else [card.id])]
    similar = card_similarities(given, encoder=encoder, compare=compare)
    np.fill_diagonal(similar, -np.inf)
    rows = range(len(ids)) if card is None else [len(ids) - 1]
    found: dict[frozenset[int], DuplicateProposal] = {}
    for i in rows:
        for j in np.argsort(-similar[i], kind="stable")[:most]:
            if similar[i, j] >= threshold:
                found.setdefault(frozenset((i, int(j))), DuplicateProposal(ids[i], ids[j], float(similar[i, j])))
    return tuple(sorted(found.values(), key=lambda proposal: -proposal.similarity))


def cluster_cards(
    cards: Mapping[str, ValuesCard] | MoralGraph,
    *,
    encoder: str | Encoder = "tfidf",
    compare: Compare = "policies",
    threshold: float = THRESHOLD,
    linkage_method: Linkage = "complete",
) -> CardClusters:
    """Group cards that may be the same.

    Parameters
    ----------
    cards, encoder, compare
        As in `find_duplicates`.
    threshold : float
        Least similarity within a group (with "complete": of any two of its cards).
    linkage_method : {"complete", "average", "single"}
        "single" chains cards that are alike step by step, and is what density clustering does.
    """
    if linkage_method not in get_args(Linkage):
        raise UsageError(f"linkage_method={linkage_method!r} is not possible.", fix="Use complete, average or single.")
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold={threshold!r} is not possible.", fix="Use a number above 0, at most 1.")
    known = _cards(cards)
    ids = tuple(known)
    titles = tuple(card.title for card in known.values())
    similar = card_similarities(list(known.values()), encoder=encoder, compare=compare)
    if len(ids) < 2:
        return CardClusters(ids, np.zeros(len(ids), dtype=np.int64), ids, np.ones(len(ids)), titles)
    distance = np.clip(1.0 - similar, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method=linkage_method)
    raw = fcluster(tree, t=1.0 - threshold + 1e-9, criterion="distance")
    _, first, label, size = np.unique(raw, return_index=True, return_inverse=True, return_counts=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.lexsort((first, -size))] = np.arange(len(first))
    label = order[label]
    representatives = []
    for k in range(len(first)):
        members = np.flatnonzero(label == k)
        representatives.append(int(members[np.argmax(similar[np.ix_(members, members)].sum(axis=1))]))
    alike = similar[np.arange(len(ids)), np.array(representatives)[label]]
    return CardClusters(ids, label, tuple(ids[i] for i in representatives), alike, titles)


def card_similarities(
    cards: Sequence[ValuesCard], *, encoder: str | Encoder = "tfidf", compare: Compare = "policies"
) -> Float[np.ndarray, "cards cards"]:
    """How alike cards are, in [-1, 1]; a text without a vector is like no other, and never like all.

    Parameters
    ----------
    cards : sequence of ValuesCard
    encoder, compare
        As in `find_duplicates`.
    """
    if compare not in get_args(Compare):
        raise UsageError(f"compare={compare!r} is not possible.", fix='Use "policies" or "text".')
    if not cards:
        return np.zeros((0, 0))
    by_policy = compare == "policies"
    texts = [text for card in cards for text in (card.policies if by_policy else (card.text,))]
    vectors = _tfidf(texts) if encoder == "tfidf" else np.asarray(resolve(encoder).encode(texts), dtype=np.float64)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    similar = np.clip(unit @ unit.T, -1.0, 1.0)
    if by_policy:
        sizes = np.array([len(card.policies) for card in cards])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        best = np.maximum.reduceat(similar, starts, axis=1)
        one_way = np.add.reduceat(best, starts, axis=0) / sizes[:, None]
        similar = 0.5 * (one_way + one_way.T)
    np.fill_diagonal(similar, 1.0)
    return similar


def _tfidf(texts: Sequence[str]) -> Float[np.ndarray, "cards dim"]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    return weigh.fit_transform(texts).toarray()


def _cards(cards: Mapping[str, ValuesCard] | MoralGraph) -> Mapping[str, ValuesCard]:
    return cards.values if isinstance(cards, MoralGraph) else cards
