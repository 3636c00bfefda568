"""Any Hugging Face encoder or causal language model as a frozen encoder."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from pluralism.embeddings.encoder import Batch, encode_batches
from pluralism.embeddings.pooling import POOLINGS
from pluralism.embeddings.pretrained import load_configuration, load_tokenizer, load_transformer, token_limit
from pluralism.embeddings.revision import directory_revision, hub_revision
from pluralism.embeddings.token_batches import TokenBatches, run_batches
from pluralism.errors import EncoderError, UsageError
from pluralism.llm.device import DTYPES, choose_device, choose_dtype

__all__ = ["HuggingFaceEncoder"]

_BATCH_TOKENS = {"cpu": 2048, "cuda": 65536, "mps": 16384}
_BLOCK = 8192


class HuggingFaceEncoder:
    """Hidden states of a transformer, pooled over the tokens of a text.

    Nothing is loaded before it is needed: a job whose vectors are all in the cache never loads the weights. Only
    safetensors weights are read and no code of the model's repository is run.

    Parameters
    ----------
    model : str or Path
        Name on the hub, or directory.
    name : str, optional
        What to call it; ``hf:<model>`` by default.
    revision : str, optional
        Branch, tag or commit of a hub model. The vectors are filed under the commit it resolves to; a local model is
        identified by its content.
    pooling : {"auto", "mean", "cls", "last"}
        How token vectors become one: their mean, the first, the last that is no padding. ``auto`` is ``last`` for
        causal models and ``mean`` for others.
    layer : int, optional
        Which hidden states: 0 is the embedding layer, k the output of block k, negative numbers count from the end.
        Default: the last, as the model returns it.
    normalize : bool
        Scale vectors to length one.
    max_length : int, optional
        Tokens to read; longer texts are cut there, and counted. Default: the model's limit, 4096 at most.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    dtype : str
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    batch_tokens : int, optional
        Tokens in a batch, padding included. Default: 2048 on a processor, 65,536 on CUDA, 16,384 on MPS.

    Notes
    -----
    Texts are sorted by length before they are batched. A vector depends on the other texts of its batch through
    rounding only: about 1e-6 in float32 and 1e-2 in bfloat16 relative to its length, cosine above .9995.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        revision: str | None = None,
        pooling: str = "auto",
        layer: int | None = None,
        normalize: bool = True,
        max_length: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
    ) -> None:
        if pooling not in ("auto", *POOLINGS):
            raise UsageError(f"Unknown pooling {pooling!r}.", fix=f"Use auto, {', '.join(POOLINGS)}.")
        if (max_length is not None and max_length < 1) or (batch_tokens is not None and batch_tokens < 1):
            raise UsageError(f"max_length and batch_tokens must be positive, not {max_length} and {batch_tokens}.")
        self.model = str(model)
        self._path = Path(model) if Path(model).is_dir() else None
        self.name = name or f"hf:{self._path.resolve().name if self._path else model}"
        self.layer = layer
        self.normalize = normalize
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.batch_tokens = batch_tokens or _BATCH_TOKENS[torch.device(self.device).type]
        self._revision, self._pooling, self._max_length = revision, pooling, max_length

    @functools.cached_property
    def revision(self) -> str:
        """Commit of a hub model, digest of the content of a local one."""
        return directory_revision(self._path) if self._path else hub_revision(self.model, self._revision)

    @functools.cached_property
    def pooling(self) -> str:
        """How token vectors become one."""
        if self._pooling != "auto":
            return self._pooling
        architectures = self._configuration.architectures or [""]
        return "last" if architectures[0].endswith(("CausalLM", "LMHeadModel")) else "mean"

    @functools.cached_property
    def max_length(self) -> int:
        """Tokens that are read of a text."""
        return self._max_length or token_limit(self._tokenizer, self._configuration).default

    @property
    def space(self) -> str:
        """The name of the vector space."""
        layer = "" if self.layer is None else f";layer={self.layer}"
        scale = "l2" if self.normalize else "none"
        return (
            f"{self.name}@{self.revision};pooling={self.pooling}{layer};norm={scale};max_length={self.max_length};"
            f"dtype={self.dtype}"
        )

    @functools.cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._configuration.get_text_config().hidden_size)

    @property
    def storage(self) -> np.dtype[np.floating]:
        """float16 holds a unit vector that was computed in half precision; anything else needs float32."""
        return np.dtype(np.float16 if self.normalize and self.dtype != "float32" else np.float32)

    def __repr__(self) -> str:
        return f"HuggingFaceEncoder({self.name!r}, device={self.device!r}, dtype={self.dtype!r})"

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Vectors of `texts`, in their order; a `DataWarning` says how many were cut."""
        return encode_batches(self, texts)

    def batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Vectors of `texts`, in parts, the longest first."""
        order = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), texts[row]))
        for start in range(0, len(order), _BLOCK):
            block = np.array(order[start : start + _BLOCK])
            tokens = self._tokens([texts[row] for row in block])
            for inside, features in run_batches(self._forward, tokens, self.batch_tokens):
                if self.storage == np.float16:
                    features = features.astype(np.float16).astype(np.float32)
                yield Batch(block[inside], features, tokens.lengths[inside])

    @functools.cached_property
    def _configuration(self) -> Any:
        return load_configuration(self.model, self._commit)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.model, self._commit)

    @functools.cached_property
    def _transformer(self) -> Any:
        hard = token_limit(self._tokenizer, self._configuration).hard
        if self.max_length > hard:
            raise UsageError(
                f"{self.name} reads at most {hard} tokens, and max_length={self.max_length} was asked for.",
                fix=f"Use max_length={hard} or less.",
            )
        model = load_transformer(self.model, self._commit, DTYPES[self.dtype])
        if self.layer is not None:
            blocks = int(self._configuration.get_text_config().num_hidden_layers)
            if not -blocks - 1 <= self.layer <= blocks:
                raise UsageError(f"{self.name} has hidden states 0 to {blocks}; layer={self.layer} is not among them.")
        return model.to(self.device)

    @property
    def _commit(self) -> str | None:
        return None if self._path else self.revision

    def _tokens(self, texts: list[str]) -> TokenBatches:
        tokenizer = self._tokenizer
        ids = tokenizer(texts, verbose=False)["input_ids"]
        lengths = np.array([len(row) for row in ids], np.int64)
        cut = np.flatnonzero(lengths > self.max_length)
        if len(cut):
            options = {"truncation": True, "max_length": self.max_length}
            for row, short in zip(cut, tokenizer([texts[row] for row in cut], **options)["input_ids"], strict=True):
                ids[row] = short
        filler = next((t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None), None)
        empty = np.flatnonzero(lengths == 0)
        if len(empty) and filler is None:
            raise EncoderError(f"{self.name} has no token for an empty text.", fix="Drop the empty texts.")
        for row in empty:
            ids[row] = [filler]
        return TokenBatches(ids, lengths, pad=tokenizer.pad_token_id or 0)

    def _forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> Float32[np.ndarray, "texts dim"]:
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        mask = None
        if int(lengths.min()) < ids.shape[1]:
            mask = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        with torch.inference_mode():
            output = self._transformer(
                input_ids=ids, attention_mask=mask, output_hidden_states=self.layer is not None, return_dict=True
            )
            hidden = output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]
            pooled = POOLINGS[self.pooling](hidden, lengths)
            if self.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=1, eps=1e-30)
            return pooled.cpu().numpy()
