"""Principle supremacy: which of two principles in conflict an annotator follows; the tournament that this makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int8

from pluralism.calibration.text import json_ready
from pluralism.discretion.measures.intervals import share_interval
from pluralism.discretion.measures.tournament import Tournament
from pluralism.errors import DataError
from pluralism.evaluation.bootstrap import ratio

if TYPE_CHECKING:
    import networkx as nx

    from pluralism.social_choice import Profile

__all__ = ["Supremacy", "supremacy_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Supremacy:
    """How often an annotator follows a principle against another one.

    Attributes
    ----------
    annotator : str
    principles : tuple of str
    wins : array of shape (principles, principles)
        Mass of verdicts for the row's principle where the column's is on the other side.
    interval : array of shape (principles, principles, 2)
        Of `probability`; NaN without a bootstrap.
    signs : int array of shape (pairs, principles)
        Decisions of the principles, for `profile`.
    verdict : int array of shape (pairs,)
        Of the annotator: 1 left, -1 right, 0 none.
    weight : array of shape (pairs,)
    """

    annotator: str
    principles: tuple[str, ...]
    wins: Float[np.ndarray, "principles principles"]
    interval: Float[np.ndarray, "principles principles two"]
    signs: Int8[np.ndarray, "pairs principles"]
    verdict: Int8[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]

    @property
    def games(self) -> Float[np.ndarray, "principles principles"]:
        """Mass of verdicts on conflicts of the two; symmetric."""
        return self.wins + self.wins.T

    @property
    def probability(self) -> Float[np.ndarray, "principles principles"]:
        """P(the row's principle is followed | it conflicts with the column's); NaN where they never do."""
        return ratio(self.wins, self.games)

    @property
    def contested(self) -> np.ndarray:
        """Whether each principle was ever in a conflict that the annotator decided."""
        return self.games.sum(axis=1) > 0

    def graph(self) -> nx.DiGraph:
        """The tournament: an arc from a principle to each one that it beats in most of their conflicts.

        Arcs have `probability`, `games`, `margin` (probability - 1/2) and, with a bootstrap, `low` and `high`. Two that
        win alike often have no arc.
        """
        import networkx as nx

        graph = nx.DiGraph(annotator=self.annotator)
        graph.add_nodes_from(self.principles)
        probability, games = self.probability, self.games
        for i, j in np.argwhere(np.nan_to_num(probability, nan=0.0) > 0.5):
            low, high = (float(bound) for bound in self.interval[i, j])
            graph.add_edge(
                self.principles[i],
                self.principles[j],
                probability=float(probability[i, j]),
                games=float(games[i, j]),
                margin=float(probability[i, j] - 0.5),
                low=low,
                high=high,
            )
        return graph

    @property
    def tournament(self) -> Tournament:
        """Its components, circles and condensation."""
        return Tournament.of(self.graph(), self.principles, self.games)

    def profile(self) -> Profile:
        """Conflicts as ballots: the principles that the verdict follows, tied, above those that it overrides.

        Any rule of `pluralism.social_choice` ranks the principles by it; ``profile().support`` is `wins` where
        preferences are decisions.

        Raises
        ------
        DataError
            If the annotator decides no conflict, or weights are not whole numbers.
        """
        from pluralism.social_choice import Profile

        left, right = (self.signs > 0).any(axis=1), (self.signs < 0).any(axis=1)
        rows = left & right & (self.verdict != 0) & (self.weight > 0)
        if not rows.any():
            raise DataError(
                f"{self.annotator} decides no conflict of principles.", fix="Use more comparisons or principles."
            )
        relative = self.signs[rows] * self.verdict[rows, None]
        levels = np.where(relative > 0, 0, np.where(relative < 0, 1, -1))
        distinct, place = np.unique(levels, axis=0, return_inverse=True)
        counts = np.bincount(place.ravel(), self.weight[rows])
        if np.abs(counts - np.rint(counts)).max() > 1e-9:
            raise DataError("Ballots are counted in whole numbers.", fix="Give comparisons weights that are whole.")
        return Profile(self.principles, distinct, np.rint(counts).astype(np.int64), unlisted="ignore")

    def to_frame(self) -> pa.Table:
        """A row for each ordered pair that was contested.

        Columns `annotator, principle, over, probability, low, high, games`.
        """
        i, j = np.nonzero(self.games)
        names = np.array(self.principles, dtype=object)
        low, high = self.interval[i, j].T
        return pa.table(
            {
                "annotator": pa.array([self.annotator] * len(i), pa.string()),
                "principle": pa.array(names[i], pa.string()),
                "over": pa.array(names[j], pa.string()),
                "probability": self.probability[i, j],
                "low": pa.array(low, mask=np.isnan(low)),
                "high": pa.array(high, mask=np.isnan(high)),
                "games": self.games[i, j],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Matrices and the shape of the tournament as plain types."""
        return json_ready(
            {
                "annotator": self.annotator,
                "principles": list(self.principles),
                "probability": self.probability,
                "games": self.games,
                "interval": self.interval,
                "tournament": self.tournament.to_dict(),
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        n = int((np.triu(self.games, 1) > 0).sum())
        return f"Supremacy({self.annotator!r}: {n} contests of {len(self.principles)} principles; {self.tournament!r})"


def supremacy_of(
    annotator: str,
    principles: tuple[str, ...],
    wins: Float[np.ndarray, "principles principles"],
    drawn: Float[np.ndarray, "draws principles principles"] | None,
    level: float,
    signs: Int8[np.ndarray, "pairs principles"],
    verdict: Int8[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
) -> Supremacy:
    """From counted wins and, for intervals, those of resamples."""
    drawn = np.empty((0, *wins.shape)) if drawn is None else drawn
    games = wins + wins.T
    span = share_interval(ratio(wins, games), games, ratio(drawn, drawn + drawn.transpose(0, 2, 1)), level)
    return Supremacy(annotator, principles, wins, span, signs, verdict, weight)
