"""A causal language model with its tokenizer: prompts in its own template, answers it writes, how likely it finds some.

Texts never speak as somebody else: strings that are special tokens of the model are broken up by a space.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.embeddings.progress import ProgressOption, reporter
from pluralism.errors import LanguageModelError, UsageError
from pluralism.extras import require
from pluralism.llm.causal_lm import (
    break_specials,
    context_length,
    end_tokens,
    load_chat_tokenizer,
    load_network,
    special_texts,
    token_ids,
)
from pluralism.llm.device import choose_device, choose_dtype
from pluralism.llm.pretrained import quiet
from pluralism.models.settings import is_whole
from pluralism.policy.lm.batched_generation import Sampling, continue_tokens
from pluralism.policy.lm.generations import Generations
from pluralism.policy.lm.library_warnings import without_rename_warnings
from pluralism.policy.lm.model_place import check_place
from pluralism.policy.lm.recipes.quiet_trainer import kept_random_states
from pluralism.policy.lm.sequence_log_probs import SequenceLogProbs
from pluralism.policy.lm.teacher_forcing import score_tokens
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from transformers import LogitsProcessor

__all__ = ["BASE_TEMPLATE", "Examples", "LanguageModel", "System"]

BASE_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
"""A chat template for base models that have none: roles by name, and the end token after each turn."""

_ANSWER = "An answer."

System = str | None | Sequence[str | None]
Examples = Sequence[tuple[str, str]]


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel:
    """A causal language model on a device, with its tokenizer; no method changes its weights.

    Attributes
    ----------
    network : transformers model
        With a language-model head; a PEFT model is one too.
    tokenizer : transformers tokenizer
        With a chat template and a token that ends a text. One without a padding token is copied, and pads with that.
    name : str
        For reports.

    Raises
    ------
    LanguageModelError
        The tokenizer has no chat template, or no token that ends a text.
    """

    network: Any
    tokenizer: Any
    name: str

    def __post_init__(self) -> None:
        if not self.tokenizer.chat_template:
            raise LanguageModelError(
                f"The tokenizer of {self.name!r} has no chat template; is it one of a base model?",
                fix="Set tokenizer.chat_template; pluralism.policy.lm.BASE_TEMPLATE serves base models.",
            )
        if self.tokenizer.eos_token_id is None:
            raise LanguageModelError(
                f"The tokenizer of {self.name!r} has no token that ends a text, so no answer would end.",
                fix="Set tokenizer.eos_token to one of its tokens.",
            )
        if self.tokenizer.pad_token_id is None:
            padding = copy.deepcopy(self.tokenizer)
            padding.pad_token = padding.eos_token
            object.__setattr__(self, "tokenizer", padding)

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        adapter: str | Path | None = None,
        chat_template: str | None = None,
    ) -> LanguageModel:
        """Load a model from a folder or the hub; only safetensors weights are read, and no code of the model's is run.

        Parameters
        ----------
        model : str or Path
            Name on the hub, or directory.
        revision : str, optional
            Branch, tag or commit of a hub model.
        device : str
            ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        dtype : str
            ``auto``, ``float32``, ``bfloat16``, ``float16``. "auto" is half precision on a GPU that has it, and float32
            on a processor, where trainers take the same weights.
        adapter : str or Path, optional
            A PEFT adapter to put on it: directory, or name on the hub.
        chat_template : str, optional
            In place of the model's own; `BASE_TEMPLATE` serves base models that have none.

        Raises
        ------
        MissingExtraError
            transformers, or PEFT for an adapter, is not installed.
        LanguageModelError
            There is no such model or adapter, or it has no safetensors weights or no chat template.
        """
        check_place(model)
        source, path, device = str(model), Path(model), choose_device(device)
        own = None if path.is_dir() else revision
        tokenizer = load_chat_tokenizer(source, revision=own, chat_template=chat_template, extra="lm")
        if chat_template is not None:
            tokenizer.chat_template = chat_template
        kind = "float32" if dtype == "auto" and device == "cpu" else choose_dtype(dtype, device)
        network = load_network(source, revision=own, dtype=kind, device=device, extra="lm")
        name = path.name if path.is_dir() else source
        if adapter is not None:
            network, name = _with_adapter(network, adapter), f"{name} with {Path(adapter).name}"
        return cls(network, tokenizer, name)

    def save(self, folder: str | Path) -> Path:
        """Write weights (safetensors) and tokenizer as transformers reads them; a LoRA is merged into its base.

        Raises
        ------
        UsageError
            The model has an adapter that cannot be merged, such as a prompt.
        """
        place, network = Path(folder), self.network
        if not hasattr(network, "save_pretrained"):
            raise UsageError(f"{self.name!r} has no weights of its own.", fix="Save the models that it is made of.")
        if hasattr(network, "merge_and_unload"):
            network = copy.deepcopy(network).merge_and_unload()
        elif hasattr(network, "get_base_model"):
            raise UsageError(
                f"The adapter of {self.name!r} cannot be merged into its base.",
                fix="Save the adapter: model.network.save_pretrained(folder); load it by adapter=folder.",
            )
        with quiet(require("transformers", extra="lm", purpose="Saving a language model")):
            network.save_pretrained(place)
        self.tokenizer.save_pretrained(place)
        return place

    def copy(self, *, name: str | None = None) -> LanguageModel:
        """The same model with weights of its own, which a trainer may change."""
        return replace(self, network=copy.deepcopy(self.network), name=self.name if name is None else name)

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return self.network.device

    @cached_property
    def limit(self) -> int:
        """The most tokens that the model reads, prompt and answer together."""
        return context_length(self.network)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return end_tokens(self.network, self.tokenizer)

    @cached_property
    def end(self) -> int:
        """The token that ends an answer in the chat template; that of texts where the template shows none."""
        spoken = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": _ANSWER}]
        try:
            whole = str(self.tokenizer.apply_chat_template(spoken, tokenize=False))
        except Exception:  # a template may raise anything: it is a program
            whole = ""
        _, found, after = whole.rpartition(_ANSWER)
        shown = token_ids(self.tokenizer, after) if found else []
        return next((token for token in shown if token in self.ends), int(self.tokenizer.eos_token_id))

    @cached_property
    def n_parameters(self) -> int:
        """How many weights there are."""
        return sum(weights.numel() for weights in self.network.parameters())

    def prompt_text(self, prompt: str, *, system: str | None = None, examples: Examples = ()) -> str:
        """What the model reads before it answers, in its chat template.

        Parameters
        ----------
        prompt : str
        system : str, optional
            A system message before it.
        examples : sequence of (prompt, answer)
            Earlier turns that show how to answer.

        Raises
        ------
        LanguageModelError
            The template does not take these messages.
        """
        said = [] if system is None else [("system", system)]
        for asked, answered in examples:
            said += [("user", asked), ("assistant", answered)]
        said.append(("user", prompt))
        wrong = [text for _, text in said if not isinstance(text, str)]
        if wrong:
            raise UsageError(f"A prompt is a str, not {type(wrong[0]).__name__}.", fix="Pass texts.")
        spoken = [{"role": role, "content": self._harmless(text)} for role, text in said]
        try:
            return str(self.tokenizer.apply_chat_template(spoken, tokenize=False, add_generation_prompt=True))
        except Exception as cause:  # a template may raise anything: it is a program
            raise LanguageModelError(
                f"The chat template of {self.name!r} does not take these messages: {type(cause).__name__}.",
                fix="Many want at most one system message, at the start, or none at all.",
            ) from None

    def prompt_tokens(self, prompt: str, *, system: str | None = None, examples: Examples = ()) -> list[int]:
        """Tokens of `prompt_text`."""
        return token_ids(self.tokenizer, self.prompt_text(prompt, system=system, examples=examples))

    def response_tokens(self, response: str, *, end: bool = True) -> list[int]:
        """Tokens of an answer, with the one that ends it.

        Parameters
        ----------
        response : str
        end : bool
            Whether the end belongs to it.
        """
        return token_ids(self.tokenizer, self._harmless(response)) + ([self.end] if end else [])

    def generate(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        system: System = None,
        examples: Examples = (),
        processors: Sequence[LogitsProcessor] = (),
        rng: RNG = 0,
        batch_size: int | None = None,
        progress: ProgressOption = False,
    ) -> Generations:
        """Answers to prompts.

        What is written for a prompt depends on the model, the prompt and `rng`, not on the prompts beside it or on how
        many run together, up to rounding; settings of generation that came with the model are not used.

        Parameters
        ----------
        prompts : sequence of str
        n : int
            Answers for each.
        max_tokens : int
            The most tokens of an answer, its end included.
        temperature, top_p, top_k
            Logits are divided by the temperature (0 takes the likeliest token); tokens are drawn from the `top_k`
            likeliest, then from the likeliest that have `top_p` together.
        system : str, or sequence of str or None, optional
            A system message, for all prompts or for each.
        examples : sequence of (prompt, answer)
            Earlier turns before every prompt.
        processors : sequence of LogitsProcessor
            Called on the logits before temperature and filters. A batch then holds rows in order, the samples of a
            prompt side by side; with all rows in one batch (`batch_size`) row r has prompt ``r // n``.
        rng : int, Generator or None
        batch_size : int, optional
            Rows that run together; by default as many as a budget of tokens holds.
        progress : bool or callable
            See `pluralism.embeddings.embed`.

        Raises
        ------
        UsageError
            There are no prompts, or a setting cannot work.
        LanguageModelError
            A prompt and `max_tokens` are more than the model reads.
        """
        sampling = Sampling(max_tokens, temperature, top_p, top_k)
        if not is_whole(n) or not (batch_size is None or is_whole(batch_size)):
            raise UsageError("n and batch_size are whole numbers from 1.", fix="Pass n=1, and leave batch_size out.")
        if not hasattr(self.network, "generate"):
            raise UsageError(
                f"{self.name!r} scores texts and writes none.", fix="To write by a contrast, use ContrastiveDecoding."
            )
        asked = self._prompts(prompts, system, examples, room=max_tokens)
        with reporter(progress, "Generating") as report:
            tokens, log_probs = continue_tokens(
                self.network,
                [row for row in asked for _ in range(n)],
                sampling,
                ends=self.ends,
                pad=self.pad,
                processors=processors,
                generator=as_generator(rng, "generation"),
                batch_size=batch_size,
                progress=report,
            )
        return Generations(
            prompts=tuple(prompts),
            prompt=np.repeat(np.arange(len(asked)), n),
            sample=np.tile(np.arange(n), len(asked)),
            texts=tuple(self.decode(row) for row in tokens),
            tokens=tuple(tokens),
            log_probs=log_probs,
            finished=np.array([row[-1] in self.ends for row in tokens]),
        )

    def log_probs(
        self,
        prompts: Sequence[str],
        responses: Sequence[str],
        *,
        system: System = None,
        examples: Examples = (),
        end: bool = True,
    ) -> SequenceLogProbs:
        """How likely the model finds answers.

        Parameters
        ----------
        prompts, responses : sequences of str
            One answer for each prompt.
        system, examples
            As in `generate`.
        end : bool
            Whether the token that ends the answer counts.

        Raises
        ------
        UsageError
            There are none, not as many of one as of the other, or an answer without any token.
        LanguageModelError
            A prompt and its answer are more than the model reads.
        """
        if isinstance(responses, str) or len(responses) != len(prompts):
            raise UsageError("There are not as many responses as prompts.", fix="Pass one response for each prompt.")
        asked = self._prompts(prompts, system, examples)
        return self.token_log_probs(asked, [self.response_tokens(response, end=end) for response in responses])

    def token_log_probs(self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> SequenceLogProbs:
        """As `log_probs`, of tokens: those of `prompt_tokens`, and of `response_tokens` or ``Generations.tokens``."""
        if len(prompts) != len(responses) or not prompts or not all(map(len, responses)):
            raise UsageError(
                "Each prompt needs a response with at least one token.",
                fix="Leave empty responses out, or use end=True.",
            )
        for k, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            self.check_length(len(prompt) + len(response), k)
        return SequenceLogProbs(score_tokens(self.network, prompts, responses, pad=self.pad))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    @property
    def pad(self) -> int:
        """The token that fills up rows; no model reads it."""
        return int(self.tokenizer.pad_token_id or 0)

    def __repr__(self) -> str:
        kind = str(self.network.dtype).removeprefix("torch.")
        return f"LanguageModel({self.name!r}, {self.n_parameters:,} parameters in {kind} on {self.device})"

    def _prompts(self, prompts: Sequence[str], system: System, examples: Examples, room: int = 0) -> list[list[int]]:
        if isinstance(prompts, str) or not len(prompts):
            raise UsageError("There are no prompts.", fix="Pass a list of texts.")
        systems = [system] * len(prompts) if system is None or isinstance(system, str) else list(system)
        if len(systems) != len(prompts):
            raise UsageError(
                f"There are {len(systems)} system messages for {len(prompts)} prompts.",
                fix="Pass one for all, or one for each.",
            )
        # Prompts come again and again, once for each of their answers.
        pairs = list(zip(prompts, systems, strict=True))
        known = {pair: self.prompt_tokens(pair[0], system=pair[1], examples=examples) for pair in dict.fromkeys(pairs)}
        found = [known[pair] for pair in pairs]
        for k, tokens in enumerate(found):
            self.check_length(len(tokens) + room, k)
        return found

    def check_length(self, length: int, place: int) -> None:
        """Refuse what is longer than the model reads: a prompt with its answer, and its place for the message."""
        if length > self.limit:
            raise LanguageModelError(
                f"{self.name} reads {self.limit} tokens, and a prompt with its answer has {length}.",
                where=f"prompt {place}",
                fix="Shorten the prompt or max_tokens, or use a model that reads more.",
            )

    def _harmless(self, text: str) -> str:
        return break_specials(text, self._specials)

    @cached_property
    def _specials(self) -> frozenset[str]:
        return special_texts(self.tokenizer)


def _with_adapter(network: Any, adapter: str | Path) -> Any:
    peft = require("peft", extra="lm", purpose="An adapter")
    place = Path(adapter)
    if place.is_dir() and not (place / "adapter_model.safetensors").exists():
        # PEFT would read pickled ones.
        raise LanguageModelError(
            f"The adapter {str(adapter)!r} cannot be loaded: it has no safetensors weights.",
            fix="Give the folder of an adapter with adapter_model.safetensors.",
        )
    try:
        with without_rename_warnings(), kept_random_states():
            return peft.PeftModel.from_pretrained(network, str(adapter)).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as cause:
        raise LanguageModelError(
            f"The adapter {str(adapter)!r} cannot be loaded: {str(cause).strip().splitlines()[0]}",
            fix="Check the path, and that the adapter was made for this model.",
        ) from cause
