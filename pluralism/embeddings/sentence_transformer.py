"""Any sentence-transformers model as a frozen encoder, with its own pooling and modules."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pluralism.embeddings.encoder import Batch, encode_batches
from pluralism.embeddings.revision import directory_revision, hub_revision
from pluralism.embeddings.vectors import normalise
from pluralism.errors import EncoderError
from pluralism.extras import require
from pluralism.llm.device import DTYPES, choose_device, choose_dtype

__all__ = ["SentenceTransformerEncoder"]

_PART = 2048


class SentenceTransformerEncoder:
    """A model run by the sentence-transformers library.

    For plain mean, cls or last-token pooling `HuggingFaceEncoder` gives the same vectors faster; this one is for
    models with modules of their own (dense layers, static embeddings, prompts).

    Parameters
    ----------
    model : str or Path
        Name on the hub, or directory.
    revision : str, optional
        Branch, tag or commit of a hub model.
    prompt : str, optional
        Text put before every text, as some models want it.
    normalize : bool
        Scale vectors to length one.
    max_length : int, optional
        Tokens to read; by default the model's own limit.
    device, dtype : str
        As in `HuggingFaceEncoder`.
    batch_size : int
        Texts in a batch.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        prompt: str | None = None,
        normalize: bool = True,
        max_length: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.model = str(model)
        self._path = Path(model) if Path(model).is_dir() else None
        self.name = f"st:{self._path.resolve().name if self._path else model}"
        self.prompt = prompt
        self.normalize = normalize
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.batch_size = batch_size
        self._revision, self._max_length = revision, max_length

    @functools.cached_property
    def revision(self) -> str:
        """Commit of a hub model, digest of the content of a local one."""
        return directory_revision(self._path) if self._path else hub_revision(self.model, self._revision)

    @functools.cached_property
    def max_length(self) -> int | None:
        """Tokens that are read of a text."""
        return self._max_length or self._network.max_seq_length

    @property
    def space(self) -> str:
        """The name of the vector space."""
        prompt = f";prompt={self.prompt!r}" if self.prompt else ""
        scale = "l2" if self.normalize else "none"
        limit = self._max_length or "model"
        return f"{self.name}@{self.revision};norm={scale};max_length={limit};dtype={self.dtype}{prompt}"

    @functools.cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._network.get_embedding_dimension())

    @property
    def storage(self) -> np.dtype[np.floating]:
        """The dtype that holds the vectors without loss."""
        return np.dtype(np.float32)

    def __repr__(self) -> str:
        return f"SentenceTransformerEncoder({self.name!r}, device={self.device!r}, dtype={self.dtype!r})"

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order; a `DataWarning` says how many were cut."""
        return encode_batches(self, texts)

    def batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Vectors of `texts`, in parts, the longest first."""
        order = np.array(sorted(range(len(texts)), key=lambda row: (-len(texts[row]), texts[row])), np.int64)
        for start in range(0, len(order), _PART):
            rows = order[start : start + _PART]
            part = [f"{self.prompt or ''}{texts[row]}" for row in rows]
            vectors = self._network.encode(
                part, batch_size=self.batch_size, show_progress_bar=False, convert_to_tensor=True
            )
            features = vectors.float().cpu().numpy()
            yield Batch(rows, normalise(features) if self.normalize else features, self._lengths(part))

    def _lengths(self, texts: list[str]) -> np.ndarray | None:
        tokenizer = getattr(self._network, "tokenizer", None)
        if self.max_length is None or not callable(tokenizer):
            return None
        return np.array([len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]], np.int64)

    @functools.cached_property
    def _network(self) -> Any:
        library = require("sentence_transformers", extra="embed", purpose=f"The encoder {self.name!r}")
        transformers = require("transformers", extra="embed", purpose=f"The encoder {self.name!r}")
        from pluralism.llm.pretrained import quiet

        try:
            with quiet(transformers):
                network = library.SentenceTransformer(
                    self.model,
                    device=self.device,
                    revision=None if self._path else self.revision,
                    trust_remote_code=False,
                    model_kwargs={"dtype": DTYPES[self.dtype], "use_safetensors": True},
                )
        except (OSError, ValueError, KeyError, RuntimeError) as cause:
            raise EncoderError(
                f"The model {self.model!r} cannot be loaded: {str(cause).strip().splitlines()[0]}",
                fix="Check the name or path. Models with code of their own, or without safetensors, are not run.",
            ) from cause
        if self._max_length is not None:
            network.max_seq_length = self._max_length
        return network
