"""A fitted reward as a sequence classifier that tools of the Hugging Face ecosystem load: trainers, benchmarks."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralism.data import Items
from pluralism.embeddings.huggingface import HuggingFaceEncoder
from pluralism.embeddings.pretrained import load_tokenizer, load_transformer
from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.policy.lm.affine_readout import affine_readout
from pluralism.policy.lm.text_rewards import TextReward

__all__ = ["SequenceClassifier"]


@dataclass(frozen=True, eq=False, repr=False)
class SequenceClassifier:
    """A classifier with its tokenizer; made by `from_reward`.

    Attributes
    ----------
    network : RewardClassifier
        `logits` of shape (texts, columns) are the rewards.
    tokenizer : transformers tokenizer
        Its chat template writes a conversation as the encoder read it when the reward was fitted, special tokens
        included.
    names : tuple of str
        Of the columns.
    """

    network: Any
    tokenizer: Any
    names: tuple[str, ...]

    @classmethod
    def from_reward(cls, reward: TextReward) -> SequenceClassifier:
        """A reward that is linear in the features of a transformers encoder, as one network.

        Parameters
        ----------
        reward : TextReward
            Of several columns, the network has as many labels; TRL's trainers want one: choose it with `only`, or
            combine them with `weighted` or `welfare`. Of a unit with a zero for each prompt ("gain", "regret") the zero
            is left out: comparing responses to a prompt does not need it.

        Raises
        ------
        UsageError
            The encoder is no transformers encoder, or the reward is not linear in its vectors: use it as a function,
            `reward_function`.
        """
        encoder = reward.scorer.encoder
        if not isinstance(encoder, HuggingFaceEncoder):
            raise UsageError(
                f"The encoder {encoder.name!r} is no transformers encoder, so there is no network to save.",
                fix="Fit on 'minilm' or 'hf:<name or path>', or use reward_function.",
            )
        if reward.combination == "least" or reward.unit == "cdf":
            raise UsageError(
                "The least of several rewards, or a share of reference responses beaten, is not linear in features.",
                fix="Use reward_function, or the reward before least() or in_unit('cdf', ...).",
            )
        heads, constants = _readout(reward)
        require("transformers", extra="lm", purpose="A sequence classifier")
        from pluralism.policy.lm.reward_classifier import RewardClassifier, RewardClassifierConfig

        revision = None if Path(encoder.model).is_dir() else encoder.revision
        body = load_transformer(encoder.model, revision, torch.float32)
        if body.config.is_encoder_decoder:
            raise UsageError(f"{encoder.name!r} is half of an encoder and decoder.", fix="Use reward_function.")
        tokenizer = copy.deepcopy(load_tokenizer(encoder.model, revision))
        before, after = _specials(tokenizer)
        names = reward.names if reward.combination is None else ("reward",)
        config = RewardClassifierConfig(
            encoder={**body.config.to_dict(), "model_type": body.config.model_type},
            pooling=encoder.pooling,
            layer=encoder.layer,
            normalize=encoder.normalize,
            reads=encoder.max_length,
            closing=len(after),
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={name: k for k, name in enumerate(names)},
            pad_token_id=tokenizer.pad_token_id,
            name_or_path=names[0] if len(names) == 1 else "rewards",
        )
        with torch.random.fork_rng(devices=[]):
            network = RewardClassifier(config)
        network.encoder.load_state_dict(body.state_dict())
        with torch.no_grad():
            network.score.weight.copy_(torch.from_numpy(heads))
            network.score.bias.copy_(torch.from_numpy(constants))
        tokenizer.chat_template = _template("".join(before), "".join(after))
        return cls(network.eval(), tokenizer, names)

    def texts(self, prompts: list[str], responses: list[str]) -> list[str]:
        """What the network reads, special tokens included: tokenize with ``add_special_tokens=False``."""
        return [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": asked}, {"role": "assistant", "content": said}], tokenize=False
            )
            for asked, said in zip(prompts, responses, strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Write weights (safetensors), configuration, tokenizer, and the code of the network.

        After ``import pluralism.policy.lm.reward_classifier``, or with ``trust_remote_code=True`` and without this
        library, ``AutoModelForSequenceClassification.from_pretrained(folder)`` loads it.
        """
        place = Path(folder)
        self.network.save_pretrained(place)
        self.tokenizer.save_pretrained(place)
        return place

    def __repr__(self) -> str:
        return f"SequenceClassifier({', '.join(self.names)}; {self.network.config.encoder['model_type']})"


def _readout(reward: TextReward) -> tuple[np.ndarray, np.ndarray]:
    scorer, columns = reward.scorer, list(reward.columns)

    def read(features: np.ndarray) -> np.ndarray:
        items = Items(ids=[str(k) for k in range(len(features))])
        return scorer.read(items.with_features(features, scorer.space))[:, columns]

    found = affine_readout(read, scorer.encoder.dim)
    if found is None:
        raise UsageError(
            f"The reward of this {type(scorer.model).__name__} is not linear in the features.",
            fix="Use it as a function, reward_function, or fit a model that is linear, such as MixtureBradleyTerry.",
        )
    heads, constants = found
    if reward.reference is not None and reward.unit == "normalised":
        spread = reward.reference.raw.spread
        scale = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
        heads, constants = heads * scale[:, None], constants * scale
    if reward.weights is None:
        return heads, constants
    return (reward.weights @ heads)[None], np.atleast_1d(reward.weights @ constants)


def _template(before: str, after: str) -> str:
    """A chat template that writes what people were asked and the answer as `Items.encoded_texts` does."""
    return (
        "{% set said = messages | rejectattr('role', 'equalto', 'system') | list %}"
        "{% set long = said | length > (1 if add_generation_prompt else 2) %}"
        f"{before}"
        "{% for message in said %}"
        "{% if long and (not loop.last or add_generation_prompt) %}{{ message['role'] | capitalize }}: {% endif %}"
        "{{ message['content'] }}"
        "{% if not loop.last or add_generation_prompt %}{{ '\\n\\n' }}{% endif %}"
        "{% endfor %}"
        f"{{% if not add_generation_prompt %}}{after}{{% endif %}}"
    )


def _specials(tokenizer: Any) -> tuple[list[str], list[str]]:
    """Special tokens that the tokenizer puts before and after a text."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    start = next(k for k in range(len(full)) if full[k : k + len(plain)] == plain)
    sides = full[:start], full[start + len(plain) :]
    before, after = (list(map(str, tokenizer.convert_ids_to_tokens(side))) for side in sides)
    return before, after
