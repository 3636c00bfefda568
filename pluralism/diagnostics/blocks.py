"""Labelled rows in blocks: how labels may be exchanged if they mean nothing, and what may be drawn again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from pluralism.errors import DataError

__all__ = ["Blocks"]


class Blocks:
    """Rows that are alike within blocks for other reasons than their label.

    Parameters
    ----------
    codes : int array of shape (items,)
        Labels 0, 1, ...
    blocks : sequence, optional
        The block of each row; left out, each row is one.

    Attributes
    ----------
    of : int array of shape (items,)
        Codes of the blocks.

    Raises
    ------
    DataError
        If there is not one block for each row.
    """

    def __init__(self, codes: Int[np.ndarray, " items"], blocks: Sequence[Hashable] | None = None) -> None:
        n = len(codes)
        if blocks is not None and len(blocks) != n:
            raise DataError("blocks do not fit the points.", fix="Name the block of each point.")
        names = np.arange(n) if blocks is None else np.array([str(block) for block in blocks])
        self.codes, self.of = codes, np.unique(names, return_inverse=True)[1]
        self._order = np.argsort(self.of, kind="stable")
        self._size = np.bincount(self.of)
        self._start = np.cumsum(self._size) - self._size
        has = np.zeros((len(self._size), int(codes.max()) + 1), dtype=bool)
        has[self.of, codes] = True
        self._whole = bool((has.sum(axis=1) == 1).all())
        kind = np.unique(has, axis=0, return_inverse=True)[1].ravel()
        self._alike = [np.flatnonzero(kind == k) for k in range(int(kind.max()) + 1)]

    def __len__(self) -> int:
        return len(self._size)

    def permuted(self, rng: np.random.Generator) -> Int[np.ndarray, " items"]:
        """Labels as they might as well have been: those of whole blocks where each has one, or else within blocks."""
        if self._whole:
            return rng.permutation(self.codes[self._order[self._start]])[self.of]
        labels = np.empty_like(self.codes)
        labels[self._order] = self.codes[np.lexsort((rng.random(len(labels)), self.of))]
        return labels

    def drawn(self, rng: np.random.Generator) -> Int[np.ndarray, " rows"]:
        """Rows of as many blocks, drawn with replacement among those that have the same labels."""
        taken = np.concatenate([rng.choice(own, size=len(own)) for own in self._alike])
        size = self._size[taken]
        return self._order[np.repeat(self._start[taken] - np.cumsum(size) + size, size) + np.arange(size.sum())]
