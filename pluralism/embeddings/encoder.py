"""What an encoder is: a name, a space, and vectors for texts, one a row."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
from jaxtyping import Float, Int

from pluralism.embeddings.vectors import bad_rows, check_vectors

__all__ = ["Batch", "BatchEncoder", "Encoder", "encode_batches", "is_encoder", "iterate"]

_CHUNK = 512


class Encoder(Protocol):
    """Turns texts into vectors; any object with these members will do.

    Attributes
    ----------
    name : str
        What a person calls it.
    revision : str
        Which version of the weights or code.
    space : str
        Everything that changes the vectors: name, revision, pooling, layer, dtype, length limit. Vectors are cached
        under it, and features of one space only are comparable.
    dim : int
        Length of a vector.
    """

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def revision(self) -> str:
        """Which version of the weights or code."""

    @property
    def space(self) -> str:
        """The name of the vector space."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order."""


class Batch(NamedTuple):
    """A finished part of a job.

    Attributes
    ----------
    rows : int array
        Which of the given texts these are.
    features : float array, (rows, dim)
        Their vectors.
    lengths : int array or None
        Tokens of each whole text, where the encoder counts them.
    """

    rows: Int[np.ndarray, " batch"]
    features: Float[np.ndarray, "batch dim"]
    lengths: Int[np.ndarray, " batch"] | None


class BatchEncoder(Encoder, Protocol):
    """An encoder that hands out its vectors as they are made, so that a killed job keeps them.

    Attributes
    ----------
    max_length : int or None
        Tokens that are read of a text; the rest is cut off, and reported.
    storage : numpy dtype
        float32, or float16 where the vectors hold no more than that.
    """

    @property
    def max_length(self) -> int | None:
        """Tokens that are read of a text."""

    @property
    def storage(self) -> np.dtype[np.floating]:
        """The dtype that holds the vectors without loss."""

    def batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Vectors of `texts`, in parts of any order; every row comes once."""


def is_encoder(value: Any) -> TypeGuard[Encoder]:
    """Whether `value` has the members of an encoder; nothing of it is computed to find out."""
    return _has(value, "name", "revision", "space", "dim", "encode")


def _is_batch_encoder(value: Encoder) -> TypeGuard[BatchEncoder]:
    return _has(value, "batches", "max_length", "storage")


def _has(value: Any, *members: str) -> bool:
    # Not hasattr: it would compute properties, and a dimension may cost a request to a server.
    missing = object()
    return all(inspect.getattr_static(value, member, missing) is not missing for member in members)


def iterate(encoder: Encoder, texts: Sequence[str]) -> Iterator[Batch]:
    """Vectors of `texts` in parts, checked: every row once, finite, not zero, of one dimension.

    Raises
    ------
    EncoderError
        A vector that cannot be used, with its row.
    """
    seen = np.zeros(len(texts), bool)
    dim: int | None = None
    parts = encoder.batches(texts) if _is_batch_encoder(encoder) else _chunks(encoder, texts)
    for rows, raw, lengths in parts:
        features = check_vectors(raw, rows, encoder.name, dim=dim)
        dim = features.shape[1]
        seen[rows] = True
        yield Batch(rows, features, lengths)
    if not seen.all():
        raise bad_rows(f"The encoder {encoder.name} left out", np.flatnonzero(~seen), "Mend its `batches` method.")


def encode_batches(encoder: BatchEncoder, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
    """Collect the parts of a batch encoder: its `encode`, with truncation reported."""
    from pluralism.embeddings.truncation import Truncation

    features: np.ndarray | None = None
    truncation = Truncation(encoder.max_length)
    for batch in iterate(encoder, texts):
        if features is None:
            features = np.empty((len(texts), batch.features.shape[1]), np.float32)
        features[batch.rows] = batch.features
        truncation.add(batch.lengths)
    truncation.warn(encoder.name)
    return np.empty((0, encoder.dim), np.float32) if features is None else features


def _chunks(encoder: Encoder, texts: Sequence[str]) -> Iterator[Batch]:
    for start in range(0, len(texts), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(texts)))
        yield Batch(rows, encoder.encode(texts[start : start + _CHUNK]), None)
