"""Reward models of transformers, with one score for each response, as annotators and as oracles."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from pluralism.data import Items
from pluralism.errors import DataError, LanguageModelError
from pluralism.llm.device import DTYPES, choose_device, choose_dtype
from pluralism.llm.pretrained import load_pretrained

__all__ = ["SequenceReward"]


class SequenceReward:
    """A sequence classifier with one output, as a function of items.

    With a chat template the prompt is the user's turn and the text the reply; else both are read as a pair of texts.

    Parameters
    ----------
    model : str or Path
        Name on the hub, or directory.
    revision : str, optional
    device, dtype : str
        "auto" chooses.
    batch_size : int
        Texts scored at once.

    Raises
    ------
    LanguageModelError
        When it is called: the model cannot be loaded, or has no single output.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 16,
    ) -> None:
        self.model, self.revision = str(model), None if Path(model).is_dir() else revision
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.batch_size = batch_size

    def __repr__(self) -> str:
        return f"SequenceReward({self.model!r})"

    def __call__(self, items: Items) -> Float[np.ndarray, " items"]:
        """Scores of items, as the model gives them.

        Raises
        ------
        DataError
            If the items have no texts.
        """
        if items.texts is None:
            raise DataError("A reward model reads texts, and the items have none.", fix="Give items with texts.")
        prompts = [None] * len(items) if items.prompts is None else items.prompts.to_pylist()
        texts = items.texts.to_pylist()
        out = np.empty(len(items))
        # texts of like length share a batch, so that little of it is padding
        order = np.argsort([len(text) for text in texts], kind="stable")
        # without a token for padding the texts go one by one
        step = 1 if self._tokenizer.pad_token is None else self.batch_size
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            out[rows] = self._scores([(prompts[k], texts[k]) for k in rows])
        return out

    def _scores(self, asked: list[tuple[str | None, str]]) -> Float[np.ndarray, " texts"]:
        limit = min(int(self._tokenizer.model_max_length), self._positions)
        options: dict[str, Any] = {
            "return_tensors": "pt",
            "truncation": True,
            "max_length": limit,
            "padding": len(asked) > 1,
        }
        if self._tokenizer.chat_template:
            spoken = [
                [*([{"role": "user", "content": prompt}] if prompt else []), {"role": "assistant", "content": text}]
                for prompt, text in asked
            ]
            said = self._tokenizer.apply_chat_template(spoken, tokenize=False)
            tokens = self._tokenizer(said, add_special_tokens=False, **options)
        elif all(prompt for prompt, _ in asked):
            tokens = self._tokenizer([str(prompt) for prompt, _ in asked], [text for _, text in asked], **options)
        else:
            tokens = self._tokenizer([f"{prompt}\n\n{text}" if prompt else text for prompt, text in asked], **options)
        with torch.inference_mode():
            logits = self._network(**tokens.to(self.device)).logits
        return logits[:, 0].double().cpu().numpy()

    @functools.cached_property
    def _tokenizer(self) -> Any:
        return self._load(lambda library, options: library.AutoTokenizer.from_pretrained(self.model, **options))

    @functools.cached_property
    def _positions(self) -> int:
        text = self._network.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 10**9)

    @functools.cached_property
    def _network(self) -> Any:
        def build(library: Any, options: dict[str, Any]) -> Any:
            return library.AutoModelForSequenceClassification.from_pretrained(
                self.model, dtype=DTYPES[self.dtype], use_safetensors=True, output_loading_info=True, **options
            )

        network, info = self._load(build)
        if info["missing_keys"] or network.config.num_labels != 1:
            raise LanguageModelError(
                f"{self.model!r} is no reward model: it has {network.config.num_labels} outputs, and its files lack "
                f"{len(info['missing_keys'])} weights.",
                fix="Use a sequence classifier with one output, saved with its head.",
            )
        if network.config.pad_token_id is None:
            network.config.pad_token_id = self._tokenizer.pad_token_id
        return network.eval().to(self.device)

    def _load(self, build: Any) -> Any:
        return load_pretrained(
            self.model,
            build,
            revision=self.revision,
            error=LanguageModelError,
            purpose=f"The reward model {self.model!r}",
        )
