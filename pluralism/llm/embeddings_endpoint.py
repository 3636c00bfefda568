"""Embeddings from any server that speaks the OpenAI protocol: OpenAI, vLLM, llama.cpp, Ollama, a gateway."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from pluralism.errors import EncoderError, UsageError
from pluralism.extras import require
from pluralism.llm.openai_errors import explain, place_of

__all__ = ["EmbeddingsEndpoint"]

_NO_KEY = "none"


class EmbeddingsEndpoint:
    """A client for the ``/embeddings`` route.

    Requests that fail for a passing reason (429, 408, 409, 5xx, a broken connection) are sent again, with
    exponential back-off and jitter or after the time that the server asks for in ``Retry-After``; that is the
    official SDK's doing. Connections are kept open for the next request: close them with `close`, or use the endpoint
    in a ``with`` block.

    Parameters
    ----------
    model : str
        Name of the model on the server.
    base_url : str, optional
        Where the server is, up to ``/v1``. Default: ``OPENAI_BASE_URL`` or OpenAI's.
    api_key_env : str
        Environment variable that holds the key. A server of your own may need none.
    dimensions : int, optional
        Shortens the vectors, where the model can.
    max_retries : int
        How often a failed request is sent again.
    timeout : float
        Seconds to wait for an answer.

    Attributes
    ----------
    place : str
        Host and path of the server, without anything secret.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        dimensions: int | None = None,
        max_retries: int = 6,
        timeout: float = 60.0,
    ) -> None:
        if max_retries < 0 or timeout <= 0 or (dimensions is not None and dimensions < 1):
            raise UsageError("An endpoint needs max_retries >= 0, timeout > 0 and dimensions >= 1.")
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self.api_key_env = api_key_env
        self.dimensions = dimensions
        self.max_retries = max_retries
        self.timeout = timeout
        self.place = place_of(self.base_url)

    def __repr__(self) -> str:
        return f"EmbeddingsEndpoint({self.model!r}, at {self.place})"

    def __enter__(self) -> EmbeddingsEndpoint:
        _ = self._client  # made here once, rather than by the first of several threads
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def embed(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts` by one request.

        Raises
        ------
        EncoderError
            The server refuses, cannot be reached, or its answer does not have one vector for each text.
        """
        openai, client = self._library, self._client
        options: dict[str, Any] = {} if self.dimensions is None else {"dimensions": self.dimensions}
        try:
            answer = client.embeddings.create(model=self.model, input=list(texts), encoding_format="float", **options)
        except openai.OpenAIError as cause:
            raise explain(
                cause,
                EncoderError,
                subject=self.model,
                place=self.place,
                key_variable=self.api_key_env,
                retries=self.max_retries,
                hidden=[os.environ.get(self.api_key_env)],
            ) from cause
        found = {entry.index: entry.embedding for entry in answer.data or []}
        if found.keys() != set(range(len(texts))) or len(answer.data) != len(texts):
            raise EncoderError(
                f"{self.model} at {self.place} returned {len(answer.data or [])} vectors for {len(texts)} texts.",
                fix="Try smaller batches (batch_size), or another server.",
            )
        try:
            with np.errstate(over="ignore"):
                return np.array([found[index] for index in range(len(texts))], np.float32)
        except (TypeError, ValueError) as cause:
            raise EncoderError(
                f"{self.model} at {self.place} returned vectors of unequal length, or no numbers.",
                fix="Use another model or server.",
            ) from cause

    @property
    def _library(self) -> Any:
        return require("openai", extra="llm", purpose="An OpenAI-compatible endpoint")

    @functools.cached_property
    def _client(self) -> Any:
        key = os.environ.get(self.api_key_env)
        if not key and self.base_url is None:
            raise EncoderError(
                f"No key for {self.place}.",
                where=f"environment variable {self.api_key_env}",
                fix=f"export {self.api_key_env}=..., or pass base_url= of a server of your own.",
            )
        return self._library.OpenAI(
            api_key=key or _NO_KEY, base_url=self.base_url, max_retries=self.max_retries, timeout=self.timeout
        )
