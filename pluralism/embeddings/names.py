"""From a name, or anything that can encode, to an encoder."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any, cast

from pluralism.embeddings.encoder import Encoder, is_encoder
from pluralism.errors import EncoderError, UsageError

__all__ = ["resolve"]

# name: (module, factory, what stands after the colon)
_ENCODERS = {
    "minilm": ("pluralism.embeddings.packaged_minilm", "minilm", ""),
    "hash": ("pluralism.embeddings.hashing", "HashingEncoder", "dim"),
    "hf": ("pluralism.embeddings.huggingface", "HuggingFaceEncoder", "name or path"),
    "st": ("pluralism.embeddings.sentence_transformer", "SentenceTransformerEncoder", "name or path"),
    "openai": ("pluralism.embeddings.endpoint", "EndpointEncoder", "model"),
}


def resolve(encoder: str | Encoder | Callable[[list[str]], Any], **options: Any) -> Encoder:
    """Make an encoder.

    Parameters
    ----------
    encoder : str, Encoder or callable
        ``minilm``; ``hash`` or ``hash:<dim>``; ``hf:<name or path>``; ``st:<name or path>``; ``openai:<model>``; an
        encoder; or a function from a list of texts to an array (texts, dim).
    **options
        What that encoder's constructor takes.

    Raises
    ------
    EncoderError
        An unknown name.
    UsageError
        An option that this encoder does not have.
    MissingExtraError
        The encoder needs a package that is not installed.

    Examples
    --------
    >>> resolve("hash:64").dim
    64
    """
    if isinstance(encoder, str):
        kind, colon, rest = encoder.partition(":")
        module, factory_name, after = _ENCODERS.get(kind, ("", "", ""))
        if not module or bool(colon) != bool(rest) or bool(rest) > bool(after):
            raise _unknown(encoder)
        if (after and not rest and kind != "hash") or (kind == "hash" and rest and not rest.isdecimal()):
            raise _unknown(encoder)
        factory = getattr(importlib.import_module(module), factory_name)
        _check_options(factory, encoder, options, given=1 if rest else 0)
        arguments: list[Any] = [int(rest) if kind == "hash" else rest] if rest else []
        return cast("Encoder", factory(*arguments, **options))
    if is_encoder(encoder):
        if options:
            raise UsageError(
                f"The options {', '.join(options)} cannot be given to an encoder that is already made.",
                fix="Give them to its constructor.",
            )
        return encoder
    if callable(encoder):
        from pluralism.embeddings.function import FunctionEncoder

        _check_options(FunctionEncoder, "your function", options, given=1)
        return FunctionEncoder(encoder, **options)
    raise EncoderError(f"{encoder!r} is no encoder.", fix="Give a name, an encoder, or a function of a list of texts.")


def _check_options(factory: Callable[..., Any], encoder: str, options: dict[str, Any], given: int) -> None:
    known = list(inspect.signature(factory).parameters)[given:]
    for option in options:
        if option not in known:
            raise UsageError(f"The encoder {encoder} has no option {option!r}.", fix=f"It has: {', '.join(known)}.")


def _unknown(encoder: str) -> EncoderError:
    near = difflib.get_close_matches(encoder, _ENCODERS, n=1)
    names = ", ".join(f"{name}:<{rest}>" if rest else name for name, (_, _, rest) in _ENCODERS.items())
    hint = f"Did you mean {near[0]!r}? " if near and near[0] != encoder else ""
    return EncoderError(f"Unknown encoder {encoder!r}.", fix=f"{hint}Known: {names}.")
