"""What every use of a local causal language model needs: weights, a tokenizer, where turns end, what is special."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pluralism.errors import LanguageModelError
from pluralism.llm.device import DTYPES
from pluralism.llm.pretrained import load_pretrained

__all__ = [
    "break_specials",
    "context_length",
    "end_tokens",
    "load_chat_tokenizer",
    "load_network",
    "special_texts",
    "token_ids",
]

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|end_of_turn|>", "<|endoftext|>")


def load_chat_tokenizer(
    model: str, *, revision: str | None = None, chat_template: str | None = None, extra: str = "embed"
) -> Any:
    """The tokenizer of a model, which has a chat template or is given one.

    Raises
    ------
    LanguageModelError
        It cannot be loaded, or has no chat template and none is given.
    """
    tokenizer = load_pretrained(
        model,
        lambda library, options: library.AutoTokenizer.from_pretrained(model, **options),
        revision=revision,
        error=LanguageModelError,
        purpose=f"The language model {model!r}",
        extra=extra,
    )
    if not tokenizer.chat_template and chat_template is None:
        raise LanguageModelError(
            f"The model {model!r} has no chat template; is it a base model?",
            fix="Use an instruction-tuned model, or pass chat_template=PLAIN_TEMPLATE for a base model.",
        )
    return tokenizer


def load_network(model: str, *, revision: str | None = None, dtype: str, device: str, extra: str = "embed") -> Any:
    """A causal language model for use, not for training, on a device; only safetensors weights are read.

    Raises
    ------
    LanguageModelError
        It cannot be loaded, or its files lack weights.
    """

    def build(library: Any, options: dict[str, Any]) -> Any:
        return library.AutoModelForCausalLM.from_pretrained(
            model, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **options
        )

    network, info = load_pretrained(
        model,
        build,
        revision=revision,
        error=LanguageModelError,
        purpose=f"The language model {model!r}",
        extra=extra,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise LanguageModelError(
            f"The files of {model!r} lack {len(missing)} weights, such as {missing[0]}.",
            fix="Check that the model is complete, and a causal language model.",
        )
    return network.eval().to(device)


def context_length(network: Any) -> int:
    """The most tokens that a model reads."""
    text = network.config.get_text_config()
    return int(getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 10**9)


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: those the model declares, and those that end a turn in common templates."""
    declared = network.generation_config.eos_token_id
    vocabulary = tokenizer.get_added_vocab()
    ends = {*(declared if isinstance(declared, list) else [declared]), tokenizer.eos_token_id}
    ends |= {vocabulary.get(name) for name in _TURN_ENDS}
    return frozenset(end for end in ends if end is not None)


def special_texts(tokenizer: Any) -> frozenset[str]:
    """Texts that the tokenizer reads as special tokens."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    return frozenset(text for text in {*added, *tokenizer.all_special_tokens} if len(text.strip()) > 1)


def break_specials(text: str, specials: Iterable[str]) -> str:
    """The text with a space inside each special token, so that nobody can end their turn and speak as another role."""
    for special in sorted(specials, key=len, reverse=True):
        text = text.replace(special, f"{special[0]} {special[1:]}")
    return text


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Tokens of a text as it stands: nothing is put before or after it."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
