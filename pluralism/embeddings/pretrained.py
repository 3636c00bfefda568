"""Load parts of a pretrained transformer: no code from the model's repository, no pickle, no silent random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pluralism.errors import EncoderError
from pluralism.llm.pretrained import load_pretrained

__all__ = ["TokenLimit", "load_configuration", "load_tokenizer", "load_transformer", "token_limit"]

_LONGEST_DEFAULT = 4096
_UNKNOWN_LIMIT = 10**9
# These hold positions from padding_idx + 1 on, so two of their position vectors are never used.
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xlm-roberta-xl", "data2vec-text")


class TokenLimit(NamedTuple):
    """How many tokens a model reads: at most (`hard`), and where nothing else is asked for (`default`)."""

    hard: int
    default: int


def load_configuration(model: str, revision: str | None) -> Any:
    """Configuration of a model."""
    return _load(model, lambda library, options: library.AutoConfig.from_pretrained(model, **options), revision)


def load_tokenizer(model: str, revision: str | None) -> Any:
    """Tokenizer of a model."""
    return _load(model, lambda library, options: library.AutoTokenizer.from_pretrained(model, **options), revision)


def load_transformer(model: str, revision: str | None, dtype: torch.dtype) -> Any:
    """Transformer without its head, in evaluation mode.

    Raises
    ------
    EncoderError
        It cannot be loaded, or its file lacks weights that the vectors depend on.
    """

    def build(library: Any, options: dict[str, Any]) -> Any:
        return library.AutoModel.from_pretrained(
            model, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )

    network, info = _load(model, build, revision)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise EncoderError(
            f"The files of {model!r} lack {len(missing)} weights, such as {missing[0]}: its vectors would be random.",
            fix="Check that the model is complete and of the architecture that its config.json names.",
        )
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    return network.eval()


def token_limit(tokenizer: Any, configuration: Any) -> TokenLimit:
    """Find how many tokens a model reads, from its configuration, tokenizer and sentence-transformers settings."""
    text = configuration.get_text_config()
    positions = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
    hard = int(positions) if positions else _UNKNOWN_LIMIT
    if positions and text.model_type in _OFFSET_POSITIONS:
        hard -= int(text.pad_token_id) + 1
    default = min(hard, int(min(tokenizer.model_max_length, _UNKNOWN_LIMIT)), _LONGEST_DEFAULT)
    declared = Path(tokenizer.name_or_path) / "sentence_bert_config.json"
    if declared.is_file():
        default = min(default, json.loads(declared.read_text()).get("max_seq_length") or default)
    return TokenLimit(hard, default)


def _load(model: str, build: Callable[[Any, dict[str, Any]], Any], revision: str | None) -> Any:
    purpose = f"The encoder {model!r}"
    return load_pretrained(model, build, revision=revision, error=EncoderError, purpose=purpose)
