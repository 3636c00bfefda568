"""The name of a text in a space: 256 bits that no two texts share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

__all__ = ["WORDS", "text_digests"]

WORDS = 4


def text_digests(space: str, texts: Sequence[str]) -> UInt64[np.ndarray, "texts 4"]:
    """SHA-256 of each text, added bit by bit to that of the space, as four 64-bit words a row.

    Within a space, two texts share a digest only if they share their SHA-256. Shards of different spaces are kept
    apart by their folder and by the space in their metadata; that the space enters here, too, is a second lock.

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
    sha256 = hashlib.sha256
    joined = b"".join([sha256(text.encode()).digest() for text in texts])
    own = np.frombuffer(sha256(b"space\0" + space.encode()).digest(), ">u8")
    return np.frombuffer(joined, ">u8").reshape(-1, WORDS).astype(np.uint64) ^ own.astype(np.uint64)
