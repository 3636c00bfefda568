"""Your own function as an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from pluralism.embeddings.vectors import check_vectors
from pluralism.errors import UsageError

__all__ = ["FunctionEncoder"]


class FunctionEncoder:
    """A callable that takes a list of texts and returns an array (texts, dim).

    Parameters
    ----------
    function : callable
        Called with up to 512 texts at a time.
    name : str, optional
        Names the vectors in the cache. Nothing of an unnamed function is cached: two functions may look alike and
        compute different things.
    revision : str
        Change it when the function changes, or the cache will answer with the old vectors.
    dim : int, optional
        Length of a vector; found by a trial call where it is asked for first.
    """

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        *,
        name: str | None = None,
        revision: str = "1",
        dim: int | None = None,
    ) -> None:
        if not callable(function):
            raise UsageError(f"An encoder function must be callable, not {function!r}.")
        self.function = function
        self.name = f"function:{name or getattr(function, '__qualname__', type(function).__name__)}"
        self.revision = revision
        self.cacheable = bool(name)
        self._dim = dim

    @property
    def space(self) -> str:
        """The name of the vector space."""
        return f"{self.name}@{self.revision}" if self.cacheable else f"{self.name}@unnamed"

    @property
    def dim(self) -> int:
        """Length of a vector."""
        if self._dim is None:
            self._dim = self.encode(["text"]).shape[1]
        return self._dim

    def __repr__(self) -> str:
        return f"FunctionEncoder({self.space!r})"

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order."""
        rows = np.arange(len(texts))
        if not len(rows):
            return np.empty((0, self.dim), np.float32)
        features = check_vectors(self.function(list(texts)), rows, self.name, dim=self._dim)
        self._dim = features.shape[1]
        return features
