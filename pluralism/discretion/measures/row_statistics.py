"""What each comparison adds to the counts of discretion, exactly and for graded preferences.

Principles are taken as independent given their probabilities, so that for decisions (probabilities of 0 and 1) every
count is that of M. Buyl et al., AI Alignment at Your Discretion, arXiv 2502.10441, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

__all__ = ["Layout", "consensus_block", "contest_blocks", "wins_of"]


@dataclass(frozen=True)
class Layout:
    """Numbers of principles and annotators, and the columns that follow from them."""

    principles: int
    annotators: int

    @property
    def contests(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the second principle of each unordered pair."""
        first, second = np.triu_indices(self.principles, 1)
        return first, second

    @property
    def consensus_width(self) -> int:
        """Columns of `consensus_block`."""
        return 3 + self.annotators * 2 * (1 + 2 * self.principles)

    def split_consensus(self, totals: Float[np.ndarray, "draws columns"]) -> dict[str, np.ndarray]:
        """Sums of `consensus_block` as arrays by name, with the draws first.

        Keys: `categories` (draws, 3): consensus, conflict, indifference; `agreement` (draws, annotators, 2): with and
        against the consensus; `by_principle` and `by_size` (draws, annotators, principles, 2): the same where the
        principle decides, and where so many principles decide.
        """
        d, a, c = len(totals), self.annotators, self.principles
        bounds = np.cumsum([0, 3, 2 * a, 2 * a * c, 2 * a * c])
        parts = [totals[:, low:high] for low, high in pairwise(bounds.tolist())]
        return {
            "categories": parts[0],
            "agreement": parts[1].reshape(d, a, 2),
            "by_principle": parts[2].reshape(d, a, 2, c).swapaxes(2, 3),
            "by_size": parts[3].reshape(d, a, 2, c).swapaxes(2, 3),
        }

    def to_wins(
        self,
        games: Float[np.ndarray, "draws annotators contests"],
        leads: Float[np.ndarray, "draws annotators contests"],
    ) -> Float[np.ndarray, "draws annotators principles principles"]:
        """Wins from the contests played, and by how much the first of the two leads."""
        first, second = self.contests
        wins = np.zeros((*games.shape[:2], self.principles, self.principles))
        wins[:, :, first, second] = 0.5 * (games + leads)
        wins[:, :, second, first] = 0.5 * (games - leads)
        return np.maximum(wins, 0.0)


def consensus_block(
    left: Float[np.ndarray, "pairs principles"],
    right: Float[np.ndarray, "pairs principles"],
    sides: Float[np.ndarray, "pairs annotators sides"],
) -> Float[np.ndarray, "pairs columns"]:
    """Categories, and how annotators stand to the consensus: in all, by principle, by number of principles.

    Parameters
    ----------
    left, right : arrays of shape (pairs, principles)
        Probability that each principle favours that side.
    sides : array of shape (pairs, annotators, 2)
        Mass of the verdict on left and right.
    """
    n = len(left)
    neither = np.clip(1.0 - left - right, 0.0, 1.0)
    indifferent = neither.prod(axis=1)
    # P(no principle is against), by leaving each principle out in turn
    towards = _times_all_others(left, 1.0 - right), _times_all_others(right, 1.0 - left)
    sizes = _sizes(left, neither), _sizes(right, neither)
    consensus = np.stack([(1.0 - right).prod(axis=1), (1.0 - left).prod(axis=1)], axis=-1) - indifferent[:, None]
    consensus = np.clip(consensus, 0.0, 1.0)
    agreed = consensus.sum(axis=1)
    categories = np.stack([agreed, np.clip(1.0 - agreed - indifferent, 0.0, 1.0), indifferent], axis=1)
    follow = np.stack([sides, sides[..., ::-1]], axis=-1)
    parts = [
        categories,
        np.einsum("ns,nasf->naf", consensus, follow).reshape(n, -1),
        _followed(towards, follow),
        _followed(sizes, follow),
    ]
    return np.concatenate(parts, axis=1)


def contest_blocks(
    left: Float[np.ndarray, "pairs principles"], right: Float[np.ndarray, "pairs principles"], layout: Layout
) -> tuple[Float[np.ndarray, "pairs contests"], Float[np.ndarray, "pairs contests"]]:
    """For each contest of two principles: P(they conflict), and P(the first is for left) - P(the first is for right).

    A verdict of mass m with lead s (left less right) adds m times the former to the games, and s times the latter to
    the lead of the first principle.
    """
    first, second = layout.contests
    one, other = left[:, first] * right[:, second], right[:, first] * left[:, second]
    return one + other, one - other


def wins_of(
    left: Float[np.ndarray, "pairs principles"],
    right: Float[np.ndarray, "pairs principles"],
    sides: Float[np.ndarray, "pairs annotators sides"],
    weight: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, "annotators principles principles"]:
    """Mass of verdicts for the row's principle where the column's is on the other side."""
    wins = np.empty((sides.shape[1], left.shape[1], left.shape[1]))
    for a in range(len(wins)):
        for_left, for_right = weight * sides[:, a, 0], weight * sides[:, a, 1]
        wins[a] = (left * for_left[:, None]).T @ right + (right * for_right[:, None]).T @ left
        np.fill_diagonal(wins[a], 0.0)
    return wins


def _followed(
    mass: tuple[Float[np.ndarray, "pairs principles"], Float[np.ndarray, "pairs principles"]],
    follow: Float[np.ndarray, "pairs annotators sides ways"],
) -> Float[np.ndarray, "pairs columns"]:
    """Mass of either side times that of the verdicts with and against it: annotators, then ways, then principles."""
    left, right = (side[:, None, None] for side in mass)
    out = left * follow[:, :, 0, :, None]
    out += right * follow[:, :, 1, :, None]
    return out.reshape(len(out), -1)


def _times_all_others(
    own: Float[np.ndarray, "pairs principles"], factor: Float[np.ndarray, "pairs principles"]
) -> Float[np.ndarray, "pairs principles"]:
    """Of each principle, its own value times the factors of all others."""
    ones = np.ones((len(own), 1))
    before = np.cumprod(np.concatenate([ones, factor[:, :-1]], axis=1), axis=1)
    after = np.cumprod(np.concatenate([ones, factor[:, :0:-1]], axis=1), axis=1)[:, ::-1]
    return own * before * after


def _sizes(
    own: Float[np.ndarray, "pairs principles"], neither: Float[np.ndarray, "pairs principles"]
) -> Float[np.ndarray, "pairs principles"]:
    """P(1, 2, ... principles favour this side, and none the other)."""
    n, c = own.shape
    probability = np.zeros((n, c + 1))
    probability[:, 0] = 1.0
    for k in range(c):
        more = probability[:, :-1] * own[:, k, None]
        probability *= neither[:, k, None]
        probability[:, 1:] += more
    return probability[:, 1:]
