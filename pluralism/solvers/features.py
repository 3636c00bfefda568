"""A feature matrix that is multiplied but never copied whole: float32 or float64 in memory, float16 in blocks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

from pluralism.solvers.kernels import difference_sums

__all__ = ["FeatureMatrix"]

BLOCK_ROWS = 4096
SMALL = 4_000_000


class FeatureMatrix:
    """Products with a frozen feature matrix, for solvers.

    Parameters
    ----------
    array : ndarray of shape (items, dim), float16, float32 or float64
        May be a read-only memory map. Up to four million entries are held in float64, so that small fits are exact;
        float32 is used as it is; float16 is converted block by block into one reused buffer, since a converted copy
        would double the memory and a fresh buffer a block costs more than the product (measured 9x).
    """

    def __init__(self, array: Float[np.ndarray, "items dim"]) -> None:
        if array.size <= SMALL:
            array = np.ascontiguousarray(array, dtype=np.float64)
        self.array = array
        self.n_items, self.dim = array.shape
        self.compute_dtype = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)

    def _blocks(self):
        if self.array.dtype != np.float16:
            yield slice(0, self.n_items), self.array
            return
        import torch

        buffer = torch.empty((BLOCK_ROWS, self.dim), dtype=torch.float32)
        for start in range(0, self.n_items, BLOCK_ROWS):
            part = self.array[start : start + BLOCK_ROWS]
            view = buffer[: len(part)]
            view.copy_(_as_torch_half(part))
            yield slice(start, start + len(part)), view.numpy()

    def matmul(self, heads: Float[np.ndarray, "dim groups"]) -> Float[np.ndarray, "items groups"]:
        """Features times heads, float64 of shape (items, groups)."""
        heads = np.ascontiguousarray(heads, dtype=self.compute_dtype)
        scores = np.empty((self.n_items, heads.shape[1]))
        for rows, block in self._blocks():
            scores[rows] = block @ heads
        return scores

    def rmatmul(self, values: Float[np.ndarray, "items groups"]) -> Float[np.ndarray, "dim groups"]:
        """Transposed features times values, float64 of shape (dim, groups)."""
        total = np.zeros((self.dim, values.shape[1]))
        for rows, block in self._blocks():
            total += block.T @ values[rows].astype(self.compute_dtype)
        return total

    def left_multiply(self, matrix: csr_matrix) -> Float[np.ndarray, "rows dim"]:
        """A sparse (rows, items) matrix times the features."""
        total = np.zeros((matrix.shape[0], self.dim))
        by_item = matrix.tocsc()
        for rows, block in self._blocks():
            total += by_item[:, rows] @ block
        return total

    def difference_sums(
        self,
        start: Int[np.ndarray, " users_plus_1"],
        left: Int[np.ndarray, " pairs"],
        right: Int[np.ndarray, " pairs"],
        signed: Float[np.ndarray, " pairs"],
    ) -> Float[np.ndarray, "users dim"]:
        """Per user (rows sorted by user), the sum of signed[i] times features[left[i]] - features[right[i]]."""
        n_users = len(start) - 1
        if self.array.dtype == np.float16:
            user = np.repeat(np.arange(n_users), np.diff(start))
            entries = np.concatenate([signed, -signed]), (np.tile(user, 2), np.concatenate([left, right]))
            return self.left_multiply(csr_matrix(entries, shape=(n_users, self.n_items)))
        out = np.zeros((n_users, self.dim))
        difference_sums(start, left, right, signed, self.array, out)
        return out

    def sandwich(self, matrix: csr_matrix) -> Float[np.ndarray, "dim dim"]:
        """Features' @ matrix @ features for a sparse symmetric (items, items) matrix, in blocks of its rows."""
        total = np.zeros((self.dim, self.dim))
        for start in range(0, self.n_items, BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, self.n_items))
            part = matrix[rows]
            # only the columns a block touches are read: pairs of one prompt lie close together
            columns = np.unique(part.indices)
            inner = part[:, columns].astype(self.compute_dtype) @ self.rows(columns)
            total += self.rows(rows).T @ inner
        return total

    def rows(self, index: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows dim"]:
        """The rows `index` in the compute dtype."""
        return self.array[index].astype(self.compute_dtype, copy=False)

    def quadratic(self, matrix: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, " items"]:
        """The diagonal of features @ matrix @ features.T, block by block."""
        out = np.empty(self.n_items)
        for start in range(0, self.n_items, BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, self.n_items))
            block = self.rows(rows).astype(np.float64)
            out[rows] = np.einsum("ij,ij->i", block @ matrix, block)
        return out


def _as_torch_half(part: np.ndarray):
    import warnings

    import torch

    with warnings.catch_warnings():
        # torch warns that a read-only array could be written through the tensor; it is only read here.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(part))
