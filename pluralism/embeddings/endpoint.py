"""Embeddings of a hosted model as an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32

from pluralism.embeddings.encoder import Batch, encode_batches
from pluralism.embeddings.vectors import bad_rows, normalise
from pluralism.errors import EncoderError, UsageError
from pluralism.llm import EmbeddingsEndpoint

__all__ = ["EndpointEncoder"]


class EndpointEncoder:
    """An OpenAI-compatible endpoint.

    Parameters
    ----------
    model : str
        Name of the model on the server.
    base_url : str, optional
        Where the server is, up to ``/v1``.
    api_key_env : str
        Environment variable that holds the key.
    revision : str
        Servers change models under one name: change this to stop using cached vectors of the old one.
    dimensions : int, optional
        Shortens the vectors, where the model can.
    normalize : bool
        Scale vectors to length one.
    batch_size : int
        Texts in a request.
    concurrency : int
        Requests under way at once.
    max_retries, timeout
        As in `pluralism.llm.EmbeddingsEndpoint`.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        revision: str = "1",
        dimensions: int | None = None,
        normalize: bool = True,
        batch_size: int = 128,
        concurrency: int = 4,
        max_retries: int = 6,
        timeout: float = 60.0,
    ) -> None:
        if batch_size < 1 or concurrency < 1:
            raise UsageError(f"batch_size and concurrency must be positive, not {batch_size} and {concurrency}.")
        self.endpoint = EmbeddingsEndpoint(
            model,
            base_url=base_url,
            api_key_env=api_key_env,
            dimensions=dimensions,
            max_retries=max_retries,
            timeout=timeout,
        )
        self.name = f"openai:{model}"
        self.revision = revision
        self.normalize = normalize
        self.batch_size = batch_size
        self.concurrency = concurrency
        self._dim = dimensions

    @property
    def space(self) -> str:
        """The name of the vector space."""
        shortened = f";dimensions={self.endpoint.dimensions}" if self.endpoint.dimensions else ""
        scale = "l2" if self.normalize else "none"
        return f"{self.name}@{self.revision};at={self.endpoint.place};norm={scale}{shortened}"

    @property
    def dim(self) -> int:
        """Length of a vector; asks the server once where it is not known yet."""
        if self._dim is None:
            with self.endpoint:
                self._dim = self.endpoint.embed(["text"]).shape[1]
        return self._dim

    @property
    def max_length(self) -> int | None:
        """None: the server refuses texts that are too long, and does not say where it would cut."""
        return None

    @property
    def storage(self) -> np.dtype[np.floating]:
        """The dtype that holds the vectors without loss."""
        return np.dtype(np.float32)

    def __repr__(self) -> str:
        return f"EndpointEncoder({self.name!r}, at {self.endpoint.place})"

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order."""
        return encode_batches(self, texts)

    def batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Vectors of `texts`, one part a request, several requests under way at once."""
        starts = range(0, len(texts), self.batch_size)
        with self.endpoint, ThreadPoolExecutor(self.concurrency) as pool:
            # Rounds, rather than all at once: a job that fails early has not paid for requests that nobody reads.
            for first in range(0, len(starts), self.concurrency):
                wave = starts[first : first + self.concurrency]
                asked = [pool.submit(self._ask, texts[start : start + self.batch_size], start) for start in wave]
                for start, answer in zip(wave, asked, strict=True):
                    features = answer.result()
                    self._dim = features.shape[1]
                    yield Batch(np.arange(start, start + len(features)), features, None)

    def _ask(self, texts: Sequence[str], start: int) -> Float32[np.ndarray, "texts dim"]:
        try:
            features = self.endpoint.embed(texts)
        except EncoderError as cause:
            raise bad_rows(cause.what, range(start, start + len(texts)), cause.fix or "Try again.") from cause
        return normalise(features) if self.normalize else features
