"""A deterministic encoder without weights: signed feature hashing of word n-grams, for tests and dry runs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from pluralism.embeddings.vectors import normalise
from pluralism.errors import UsageError

__all__ = ["HashingEncoder"]

_WORD = re.compile(r"\w+")


class HashingEncoder:
    """Hash the words and word n-grams of a text into a vector of length one.

    Each n-gram adds +1 or -1 (by one bit of its CRC-32) to one coordinate (by the others); the whole text counts as
    one more n-gram, so that different texts have different vectors. Equal on every machine and in every process.

    Parameters
    ----------
    dim : int
        Length of a vector.
    ngrams : int
        Longest n-gram, in words.

    References
    ----------
    Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """

    name = "hash"
    revision = "1"

    def __init__(self, dim: int = 256, *, ngrams: int = 2) -> None:
        if dim < 2 or ngrams < 1:
            raise UsageError(f"The hashing encoder needs dim >= 2 and ngrams >= 1, not {dim} and {ngrams}.")
        self.dim = dim
        self.ngrams = ngrams

    @property
    def space(self) -> str:
        """The name of the vector space."""
        return f"hash@{self.revision};dim={self.dim};ngrams={self.ngrams}"

    def __repr__(self) -> str:
        return f"HashingEncoder(dim={self.dim}, ngrams={self.ngrams})"

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order."""
        features = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            words = _WORD.findall(text.lower())
            grams = [" ".join(words[i : i + n]) for n in range(1, self.ngrams + 1) for i in range(len(words) - n + 1)]
            codes = np.array([zlib.crc32(gram.encode()) for gram in [*grams, f"\n{text}"]], np.int64)
            np.add.at(features[row], (codes >> 1) % self.dim, 1.0 - 2.0 * (codes & 1))
            if not features[row].any():
                features[row, (codes[-1] >> 1) % self.dim] = 1.0
        return normalise(features)
