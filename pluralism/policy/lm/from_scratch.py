"""A small language model trained from nothing on given answers, in seconds: for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralism.embeddings.progress import ProgressOption, reporter
from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.llm.device import choose_device
from pluralism.policy.lm.language_model import LanguageModel
from pluralism.random import RNG, as_generator

__all__ = ["TURN_TEMPLATE", "train_from_scratch"]

TURN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The chat template of models made here: nothing follows the token that ends a turn."""

_PAD, _START, _END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_HEADS = 4
_INITIAL = 0.05
"""Standard deviation of weights at the start."""
_IGNORED = -100


def train_from_scratch(
    prompts: Sequence[str],
    responses: Sequence[str],
    folder: str | Path | None = None,
    *,
    systems: Sequence[str | None] | None = None,
    vocabulary: int = 1024,
    hidden: int = 128,
    layers: int = 2,
    positions: int = 1024,
    steps: int = 300,
    batch_size: int = 16,
    learning_rate: float = 4e-3,
    device: str = "auto",
    rng: RNG = 0,
    progress: ProgressOption = False,
) -> LanguageModel:
    """Train a tokenizer and a small Llama on answers to prompts.

    It learns to write what it is given, from the prompt and the system message before it; it knows nothing else. The
    same `rng` gives the same model on the same machine.

    Parameters
    ----------
    prompts, responses : sequences of str
        One answer for each prompt; prompts may recur.
    folder : str or Path, optional
        Where to save it.
    systems : sequence of str or None, optional
        A system message before each prompt.
    vocabulary : int
        Tokens of the byte-level BPE tokenizer, 260 or more.
    hidden, layers : int
        Width, a multiple of 8, and depth.
    positions : int
        The most tokens it reads.
    steps, batch_size, learning_rate
        AdamW with a warm-up over a tenth of the steps and a cosine decay to a twentieth.
    device : str
        As in `LanguageModel.load`.
    rng : int, Generator or None
    progress : bool or callable
        See `pluralism.embeddings.embed`.

    Raises
    ------
    UsageError
        There are no answers, not as many as prompts, or a size cannot work.
    LanguageModelError
        A prompt with its answer has more tokens than `positions`.
    """
    if isinstance(prompts, str) or isinstance(responses, str) or not prompts or len(prompts) != len(responses):
        raise UsageError("Training needs as many responses as prompts, and one at least.", fix="Pass lists of texts.")
    spoken = [None] * len(prompts) if systems is None else list(systems)
    if len(spoken) != len(prompts):
        raise UsageError(f"There are {len(spoken)} system messages for {len(prompts)} prompts.", fix="Pass one each.")
    if vocabulary < 260 or hidden < 8 or hidden % (2 * _HEADS) or min(layers, steps, batch_size) < 1:
        raise UsageError(
            "Such a model cannot be made.",
            fix=f"vocabulary is 260 or more, hidden a multiple of {2 * _HEADS}, layers, steps and batch_size positive.",
        )
    generator = as_generator(rng, "from scratch")
    tokenizer = _tokenizer([*prompts, *responses, *(text for text in spoken if text)], vocabulary)
    network = _network(tokenizer, hidden, layers, positions, seed=int(generator.integers(2**63 - 1)))
    model = LanguageModel(network.to(choose_device(device)), tokenizer, "from scratch")
    rows = []
    for k, (prompt, system, response) in enumerate(zip(prompts, spoken, responses, strict=True)):
        asked, said = model.prompt_tokens(prompt, system=system), model.response_tokens(response)
        model.check_length(len(asked) + len(said), k)
        rows.append((asked, said))
    with reporter(progress, "Training") as report:
        _train(model, rows, steps, batch_size, learning_rate, generator, report)
    if folder is not None:
        model.save(folder)
    return model


def _tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    transformers = require("transformers", extra="lm", purpose="A language model")
    tokenizers = require("tokenizers", extra="lm", purpose="A language model")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_PAD, _START, _END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*texts, "system\n user\n assistant\n"], trainer)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=_END, pad_token=_PAD, additional_special_tokens=[_START]
    )
    made.chat_template = TURN_TEMPLATE
    return made


def _network(tokenizer: Any, hidden: int, layers: int, positions: int, *, seed: int) -> Any:
    transformers = require("transformers", extra="lm", purpose="A language model")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # The library draws weights by the generator of torch, which is put back; ours are drawn by our own.
    with torch.random.fork_rng(devices=[]):
        network = transformers.LlamaForCausalLM(config).eval()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim > 1:
                weights.normal_(0.0, _INITIAL, generator=drawn)
    return network


def _train(
    model: LanguageModel,
    rows: Sequence[tuple[list[int], list[int]]],
    steps: int,
    batch_size: int,
    learning_rate: float,
    generator: np.random.Generator,
    report: Any,
) -> None:
    network = model.network
    network.train()
    decayed = [weights for weights in network.parameters() if weights.ndim > 1]
    other = [weights for weights in network.parameters() if weights.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))
    warm = max(1, steps // 10)

    def speed(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.05 + 0.95 * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, speed)
    order: list[int] = []
    for step in range(steps):
        while len(order) < min(batch_size, len(rows)):
            order += generator.permutation(len(rows)).tolist()
        batch, order = order[:batch_size], order[batch_size:]
        ids, labels = _padded([rows[k] for k in batch], model.pad, model.device)
        loss = network(input_ids=ids, attention_mask=(labels != _IGNORED) | (ids != model.pad), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, steps)
    network.eval()


def _padded(rows: Sequence[tuple[list[int], list[int]]], pad: int, device: Any) -> tuple[Any, Any]:
    longest = max(len(asked) + len(said) for asked, said in rows)
    ids = [asked + said + [pad] * (longest - len(asked) - len(said)) for asked, said in rows]
    labels = [[_IGNORED] * len(asked) + said + [_IGNORED] * (longest - len(asked) - len(said)) for asked, said in rows]
    return torch.tensor(ids, device=device), torch.tensor(labels, device=device)
