"""A causal language model on this machine, with its own chat template."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from pluralism.errors import LanguageModelError, UsageError
from pluralism.llm.causal_lm import (
    break_specials,
    context_length,
    end_tokens,
    load_chat_tokenizer,
    load_network,
    special_texts,
    token_ids,
)
from pluralism.llm.chat_model import ChatModel, Weights
from pluralism.llm.device import choose_device, choose_dtype
from pluralism.llm.local_generation import Draw, generate, score
from pluralism.llm.messages import Message, MessageLike, as_messages
from pluralism.llm.options import Options
from pluralism.llm.request import Completion, RawCall, Request
from pluralism.llm.structured import instructed_call
from pluralism.llm.usage import Usage
from pluralism.random import as_generator

__all__ = ["PLAIN_TEMPLATE", "TransformersChat"]

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] | replace('\\n', '\\n  ') }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
_PLAIN_STOPS = ("\nuser:", "\nsystem:", "\nassistant:")
_MAX_TOKENS = 1024
_UNFINISHED = "\ufffd"


class TransformersChat(ChatModel):
    """A chat model from a folder or the hub; only safetensors weights are read, and no code of the model's is run.

    Nothing is loaded before it is needed. A seed gives the same reply each time on one machine. Strings in messages
    that are special tokens of the model (such as ``<|im_end|>``) are broken up by a space, so that nobody can end
    their turn and speak as another role. Schemas and tools are explained in words.

    Parameters
    ----------
    model : str or Path
        Name on the hub, or directory.
    revision : str, optional
        Branch, tag or commit of a hub model.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    dtype : str
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    chat_template : str, optional
        A Jinja template in place of the model's own; ``PLAIN_TEMPLATE`` serves base models that have none.
    timeout : float
        Seconds that one call may take, checked between tokens.
    """

    deterministic = True

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        chat_template: str | None = None,
        timeout: float = 600.0,
    ) -> None:
        path = Path(model)
        super().__init__(f"local:{path.name if path.is_dir() else model}", timeout=timeout)
        self.model, self.revision = str(model), None if path.is_dir() else revision
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.chat_template = chat_template
        self._working = threading.RLock()

    def complete(self, request: Request) -> Completion:
        """One answer."""
        for piece in self.pieces(request):
            if isinstance(piece, Completion):
                return piece
        raise LanguageModelError(f"{self.name} wrote nothing.", fix="Try again.")

    def pieces(self, request: Request) -> Iterator[str | Completion]:
        """One answer as it is written."""
        asked = request.instructed()
        with self._working:
            prompt = self._prompt(asked.messages)
            most = min(request.max_tokens or _MAX_TOKENS, self._limit - len(prompt))
            draw = self._draw(request)
            check = request.deadline.remaining
        stops = _PLAIN_STOPS if self.chat_template == PLAIN_TEMPLATE else ()
        margin = max((len(stop) for stop in stops), default=0)
        tokens: list[int] = []
        shown, text, stopped = 0, "", False
        for token in self._locked(generate(self._network, prompt, draw, most=most, stops=self._ends, check=check)):
            tokens.append(token)
            text = self._decode(tokens)
            found = [text.find(stop) for stop in stops if stop in text]
            if found:
                text, stopped = text[: min(found)], True
                break
            ready = len(text) - margin
            if ready > shown and not text.endswith(_UNFINISHED):
                yield text[shown:ready]
                shown = ready
        if len(text) > shown:
            yield text[shown:]
        call = instructed_call(text) if request.tools else None
        calls = (RawCall(*call, "call-0"),) if call is not None else ()
        cut = len(tokens) == most and not stopped
        usage = Usage(1, len(prompt), len(tokens))
        yield Completion(text, "tool_calls" if calls else "length" if cut else "stop", usage, self.name, calls)

    def weigh(self, request: Request, options: Options) -> Weights:
        """Exact probabilities that the reply begins with each label, with or without a space before it."""
        request.deadline.remaining()
        with self._working:
            prompt = self._prompt(request.messages)
            spellings = [self._spellings(label) for label in options.labels]
            flat = [tokens for group in spellings for tokens in group]
            self._fits(len(prompt) + max(map(len, flat)))
            found = score(self._network, prompt, flat)
        ends = np.cumsum([len(group) for group in spellings])[:-1]
        summed = np.array([np.logaddexp.reduce(part) for part in np.split(found, ends)])
        return Weights(summed, "exact", Usage(1, len(prompt), max(map(len, flat))))

    def log_probabilities(
        self, messages: Sequence[MessageLike], replies: Sequence[str]
    ) -> Float64[np.ndarray, " replies"]:
        """Log-probability of each reply, its end included.

        Parameters
        ----------
        messages : sequence of Message or mapping
        replies : sequence of str

        Raises
        ------
        UsageError
            No replies.
        LanguageModelError
            A reply does not fit into what the model reads.
        """
        if isinstance(replies, str) or not replies:
            raise UsageError("There are no replies to score.", fix="Pass a list of texts.")
        with self._working:
            prompt = self._prompt(as_messages(messages))
            end = self._tokenizer.eos_token_id
            rows = [[*self._ids(self._harmless(reply)), *([] if end is None else [end])] for reply in replies]
            self._fits(len(prompt) + max(map(len, rows)))
            if not all(rows):
                raise UsageError("An empty reply has no probability in a model without an end token.")
            return score(self._network, prompt, rows)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        return load_chat_tokenizer(self.model, revision=self.revision, chat_template=self.chat_template)

    @functools.cached_property
    def _network(self) -> Any:
        return load_network(self.model, revision=self.revision, dtype=self.dtype, device=self.device)

    @functools.cached_property
    def _limit(self) -> int:
        return context_length(self._network)

    @functools.cached_property
    def _ends(self) -> frozenset[int]:
        return end_tokens(self._network, self._tokenizer)

    def _locked(self, tokens: Iterator[int]) -> Iterator[int]:
        """One forward pass at a time, whoever reads."""
        while True:
            with self._working:
                token = next(tokens, None)
            if token is None:
                return
            yield token

    def _draw(self, request: Request) -> Draw:
        generator = torch.Generator().manual_seed(int(as_generator(request.seed).integers(2**63 - 1)))
        own = self._network.generation_config
        if request.temperature is not None:
            return Draw(request.temperature, generator)
        if not own.do_sample:
            return Draw(0.0, generator)
        temperature = 1.0 if own.temperature is None else float(own.temperature)
        return Draw(temperature, generator, int(own.top_k or 0), 1.0 if own.top_p is None else float(own.top_p))

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        spoken = [{"role": message.role, "content": self._harmless(message.content)} for message in messages]
        options: dict[str, Any] = {} if self.chat_template is None else {"chat_template": self.chat_template}
        try:
            text = self._tokenizer.apply_chat_template(spoken, tokenize=False, add_generation_prompt=True, **options)
        except Exception as cause:  # a template may raise anything: it is a program
            raise LanguageModelError(
                f"The chat template of {self.model!r} does not take these messages: {type(cause).__name__}.",
                fix="Many want at most one system message, at the start, and user and assistant in turn.",
            ) from None
        tokens = self._ids(text)
        self._fits(len(tokens) + 1)
        return tokens

    def _ids(self, text: str) -> list[int]:
        return token_ids(self._tokenizer, text)

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def _harmless(self, text: str) -> str:
        return break_specials(text, self._specials)

    @functools.cached_property
    def _specials(self) -> frozenset[str]:
        return special_texts(self._tokenizer)

    def _spellings(self, label: str) -> list[list[int]]:
        """Different beginnings of a reply that are the label; none continues another."""
        made = sorted({tuple(self._ids(spelling)) for spelling in (label, f" {label}")}, key=len)
        kept: list[tuple[int, ...]] = []
        for tokens in made:
            if not any(tokens[: len(shorter)] == shorter for shorter in kept):
                kept.append(tokens)
        return [list(tokens) for tokens in kept]

    def _fits(self, length: int) -> None:
        if length > self._limit:
            raise LanguageModelError(
                f"{self.name} reads {self._limit} tokens, and these are {length}.",
                fix="Shorten the messages, or use a model that reads more.",
            )
