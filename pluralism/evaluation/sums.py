"""Per-user sums from which every score, and every bootstrap draw of it, is a ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from pluralism.calibration.scores import row_brier, row_correct, row_log_loss

__all__ = ["Scored", "UserSums", "draw_totals", "score_rows"]


@dataclass(frozen=True)
class Scored:
    """Scores of single rows; `user` is dense, from 0.

    Attributes
    ----------
    p, y, weight : arrays of shape (pairs,)
    decided : bool array of shape (pairs,)
        Rows that are no tie.
    correct : array of shape (pairs,)
        0 in ties.
    log_loss, brier : arrays of shape (pairs,)
    """

    p: Float[np.ndarray, " pairs"]
    y: Float[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]
    user: Int[np.ndarray, " pairs"]
    n_users: int
    decided: np.ndarray
    correct: Float[np.ndarray, " pairs"]
    log_loss: Float[np.ndarray, " pairs"]
    brier: Float[np.ndarray, " pairs"]


def score_rows(
    p: Float[np.ndarray, " pairs"],
    y: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    user: Int[np.ndarray, " pairs"],
) -> Scored:
    """Score each row; user codes are made dense."""
    present, dense = np.unique(user, return_inverse=True)
    correct = row_correct(p, y)
    decided = ~np.isnan(correct)
    return Scored(
        p, y, weight, dense, len(present), decided, np.where(decided, correct, 0.0), row_log_loss(p, y), row_brier(p, y)
    )


class UserSums:
    """Columns of sums over each user's rows, kept sparse.

    Columns are added by name, as one value a row, optionally spread over several cells (bins, groups); `draw` gives
    all column totals of bootstrap samples at once.
    """

    def __init__(self, user: Int[np.ndarray, " pairs"], n_users: int) -> None:
        self._user, self._n_users = user, n_users
        self._where: dict[str, slice] = {}
        self._parts: list[csr_array] = []
        self._width = 0

    def add(
        self,
        name: str,
        values: Float[np.ndarray, " pairs"],
        *,
        cell: Int[np.ndarray, " pairs"] | None = None,
        n_cells: int = 1,
    ) -> None:
        """Add a column, or one for each of `n_cells` cells, to which `cell` assigns the rows."""
        cells = np.zeros(len(values), dtype=np.int64) if cell is None else cell
        self._parts.append(csr_array((values, (self._user, cells)), shape=(self._n_users, n_cells)))
        self._where[name] = slice(self._width, self._width + n_cells)
        self._width += n_cells

    def matrix(self) -> csr_array:
        """All columns, of shape (users, columns)."""
        from scipy.sparse import hstack

        return csr_array(hstack(self._parts, format="csr"))

    def of(self, totals: Float[np.ndarray, "draws columns"], name: str) -> Float[np.ndarray, "draws cells"]:
        """The cells of one name in column totals."""
        return totals[:, self._where[name]]


def draw_totals(matrix: csr_array, counts: Float[np.ndarray, "draws users"]) -> Float[np.ndarray, "draws columns"]:
    """Column totals when each user is counted so many times."""
    return np.asarray((matrix.T @ counts.T).T)
