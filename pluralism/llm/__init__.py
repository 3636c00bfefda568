"""Language models behind one small protocol; here the hosted embeddings that the encoders need."""

from __future__ import annotations

from pluralism.llm.embeddings_endpoint import EmbeddingsEndpoint

__all__ = ["EmbeddingsEndpoint"]
