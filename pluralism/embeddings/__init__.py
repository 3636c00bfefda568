"""Texts to vectors: frozen encoders behind one small protocol, and a cache that never forgets or confuses them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pluralism.embeddings.cache import EmbeddingCache, default_cache
from pluralism.embeddings.embedding import Embedding, embed
from pluralism.embeddings.encoder import Encoder
from pluralism.embeddings.endpoint import EndpointEncoder
from pluralism.embeddings.function import FunctionEncoder
from pluralism.embeddings.hashing import HashingEncoder
from pluralism.embeddings.names import resolve
from pluralism.embeddings.space import same_space

if TYPE_CHECKING:
    from pluralism.embeddings.huggingface import HuggingFaceEncoder
    from pluralism.embeddings.sentence_transformer import SentenceTransformerEncoder

__all__ = [
    "Embedding",
    "EmbeddingCache",
    "Encoder",
    "EndpointEncoder",
    "FunctionEncoder",
    "HashingEncoder",
    "HuggingFaceEncoder",
    "SentenceTransformerEncoder",
    "default_cache",
    "embed",
    "resolve",
    "same_space",
]

# These load torch, which most uses of the room do without.
_LAZY = {"HuggingFaceEncoder": "huggingface", "SentenceTransformerEncoder": "sentence_transformer"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
