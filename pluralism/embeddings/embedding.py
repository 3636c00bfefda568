"""Embed texts: each different text once, from the cache where it is known, stored as soon as it is not."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from pluralism.embeddings.cache import EmbeddingCache
from pluralism.embeddings.encoder import Encoder, iterate
from pluralism.embeddings.names import resolve
from pluralism.embeddings.progress import ProgressOption, reporter
from pluralism.embeddings.texts import as_texts
from pluralism.embeddings.truncation import Truncation
from pluralism.embeddings.vectors import RowsError, bad_rows, check_vectors
from pluralism.errors import EncoderError, PluralismWarning

__all__ = ["Embedding", "embed"]

_TIDY_AFTER = 4


@dataclass(frozen=True, repr=False)
class Embedding:
    """Vectors of texts, and how they came about. Unpacks as ``features, space``.

    Attributes
    ----------
    features : float32 array, (texts, dim)
        One row a text, in the order given.
    space : str
        The vector space: features of one space only are comparable.
    n_unique : int
        Different texts.
    n_cached : int
        Of them, found in the cache.
    n_truncated : int
        Of them, longer than the encoder reads.
    longest : int
        Tokens of the longest text; 0 where the encoder does not count.
    max_length : int or None
        Tokens that the encoder reads.
    """

    features: Float32[np.ndarray, "texts dim"]
    space: str
    n_unique: int
    n_cached: int
    n_truncated: int
    longest: int
    max_length: int | None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.features, self.space))

    def __repr__(self) -> str:
        texts, dim = self.features.shape
        cut = f", {self.n_truncated} cut at {self.max_length} tokens" if self.n_truncated else ""
        return (
            f"Embedding of {texts:,} texts ({self.n_unique:,} different, {self.n_cached:,} from the cache{cut}) "
            f"in {dim} dimensions, space {self.space}"
        )

    def to_json(self) -> str:
        """Everything but the vectors, as a JSON object."""
        texts, dim = self.features.shape
        facts = {name: value for name, value in vars(self).items() if name != "features"}
        return json.dumps({"n_texts": texts, "dim": dim, **facts})


def embed(
    texts: Iterable[str],
    encoder: str | Encoder | Callable[[list[str]], Any] = "minilm",
    *,
    cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    progress: ProgressOption = False,
    **options: Any,
) -> Embedding:
    """Embed texts with a frozen encoder.

    Parameters
    ----------
    texts : iterable of str
        Texts; repeated ones are encoded once.
    encoder : str, Encoder or callable
        See `resolve`: ``minilm``, ``hash``, ``hf:<name or path>``, ``st:<name or path>``, ``openai:<model>``, an
        encoder, or a function. A function needs a ``name=`` to be cached.
    cache : EmbeddingCache or path, optional
        Where vectors are kept for later runs. A job that was killed goes on from what is there.
    progress : bool or callable
        True shows a bar on standard error if that is a terminal; a callable gets (done, total).
    **options
        What the encoder takes.

    Returns
    -------
    Embedding
        ``features, space = embed(...)`` takes the two that matter most.

    Raises
    ------
    EncoderError
        The encoder is unknown, cannot be loaded, or returned vectors that cannot be used (the rows are named; what
        was computed before them is in the cache).
    CacheError
        The cache cannot be read or written. This is found out before anything is computed, as far as it can be.
    DataError
        A row that is no text.

    Warns
    -----
    DataWarning
        Texts were longer than the encoder reads.

    Examples
    --------
    >>> features, space = embed(["one text", "another", "one text"], "hash:16")
    >>> features.shape
    (3, 16)
    """
    column = as_texts(texts)
    model = resolve(encoder, **options)
    store = _open_cache(cache, model)
    unique, inverse = _deduplicate(column)
    answer = store.get(model.space, unique) if store else None
    missing = np.arange(len(unique)) if answer is None else np.flatnonzero(~answer.found)
    features = None if answer is None else answer.features
    lengths = np.zeros(len(unique), np.int64) if answer is None else answer.lengths
    if len(missing):
        if store:
            store.check_writable(model.space)
        try:
            features = _encode(model, unique, missing, store, features, lengths, progress)
        except RowsError as cause:
            at = np.flatnonzero(np.isin(inverse, missing[list(cause.rows)]))
            raise bad_rows(cause.what, at, cause.fix or "Look at those texts.") from cause
    if features is None:
        features = np.empty((0, model.dim), np.float32)
    max_length = getattr(model, "max_length", None)
    truncation = Truncation(max_length)
    truncation.add(lengths)
    truncation.warn(model.name)
    return Embedding(
        features=features if len(unique) == len(column) else features[inverse],
        space=model.space,
        n_unique=len(unique),
        n_cached=len(unique) - len(missing),
        n_truncated=truncation.count,
        longest=truncation.longest,
        max_length=max_length,
    )


def _encode(
    encoder: Encoder,
    texts: list[str],
    missing: Int64[np.ndarray, " missing"],
    store: EmbeddingCache | None,
    features: Float32[np.ndarray, "texts dim"] | None,
    lengths: Int64[np.ndarray, " texts"],
    progress: ProgressOption,
) -> Float32[np.ndarray, "texts dim"]:
    """Fill in the missing rows, storing what is done every few seconds, and also when the job is interrupted."""
    wanted = [texts[row] for row in missing]
    pending: list[np.ndarray] = []
    flushes = 0
    dtype = getattr(encoder, "storage", np.dtype(np.float32))

    def flush() -> None:
        nonlocal flushes
        if store and pending and features is not None:
            rows = np.concatenate(pending)
            pending.clear()
            flushes += 1
            store.put(encoder.space, [texts[row] for row in rows], features[rows].astype(dtype), lengths[rows])

    done = len(texts) - len(missing)
    with reporter(progress, f"Embedding with {encoder.name}") as report:
        report(done, len(texts))
        flushed_at = time.monotonic()
        try:
            for batch in iterate(encoder, wanted):
                rows = missing[batch.rows]
                if features is None:
                    features = np.empty((len(texts), batch.features.shape[1]), np.float32)
                elif features.shape[1] != batch.features.shape[1]:
                    check_vectors(batch.features, batch.rows, encoder.name, dim=features.shape[1])
                features[rows] = batch.features
                if batch.lengths is not None:
                    lengths[rows] = batch.lengths
                pending.append(rows)
                done += len(rows)
                report(done, len(texts))
                if store and (
                    time.monotonic() - flushed_at >= store.flush_seconds or sum(map(len, pending)) >= store.flush_texts
                ):
                    flush()
                    flushed_at = time.monotonic()
        finally:
            flush()
    if store and flushes >= _TIDY_AFTER:
        store.compact(encoder.space)
    if features is None:
        raise EncoderError(f"{encoder.name} returned nothing for {len(wanted)} texts.")
    return features


def _open_cache(cache: EmbeddingCache | str | os.PathLike[str] | None, encoder: Encoder) -> EmbeddingCache | None:
    if cache is None:
        return None
    if not getattr(encoder, "cacheable", True):
        warnings.warn(
            f"{encoder.name} has no name of its own, so its vectors are not cached: pass name='...' (and a new "
            "revision= when it changes).",
            PluralismWarning,
            stacklevel=3,
        )
        return None
    return cache if isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)


def _deduplicate(texts: list[str]) -> tuple[list[str], Int64[np.ndarray, " texts"]]:
    codes: dict[str, int] = {}
    inverse = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, len(texts))
    return list(codes), inverse
