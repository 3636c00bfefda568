"""The name of a text in a space: 256 bits that no two texts share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

__all__ = ["WORDS", "text_digests"]

WORDS = 4


def text_digests(space: str, texts: Sequence[str]) -> UInt64[np.ndarray, "texts 4"]:
    """SHA-256 over the space and the text, as four 64-bit words a row.

    The space enters by its own digest, of fixed length, so that no space and text can be read as another pair.

    Parameters
    ----------
    space : str
        `Encoder.space`.
    texts : sequence of str
        Texts, byte for byte.

    Returns
    -------
    uint64 array, (texts, 4)
        Words in the order of the digest's bytes, each big endian, so that rows sort as digests do.
    """
    prefix, sha256 = hashlib.sha256(space.encode()).digest(), hashlib.sha256
    joined = b"".join([sha256(prefix + text.encode()).digest() for text in texts])
    return np.frombuffer(joined, ">u8").reshape(-1, WORDS).astype(np.uint64)
