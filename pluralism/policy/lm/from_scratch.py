"""A small language model trained from nothing on given answers, in seconds: for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_MUON = 4.0
"""Learning rate of Muon over that of AdamW."""


def train_from_scratch(
    prompts: Sequence[str],
    responses: Sequence[str],
    folder: str | Path | None = None,
    *,
    systems: Sequence[str | None] | None = None,
    vocabulary: int = 2048,
    hidden: int = 128,
    layers: int = 2,
    positions: int = 1024,
    steps: int = 300,
    batch_size: int = 8,
    learning_rate: float = 5e-3,
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
        Of AdamW for embeddings, and, four times as large, of Muon for the blocks [1]_; less in the first twentieth and
        the last quarter of the steps.
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

    References
    ----------
    .. [1] K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
       https://kellerjordan.github.io/posts/muon.
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
    optimizers = _optimizers(network, learning_rate)
    base = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    batches = _batches([len(asked) + len(said) for asked, said in rows], batch_size, generator)
    # A constant: by the mean of each batch, tokens of short answers, which share batches, would count more.
    usual = batch_size * float(np.mean([len(said) for _, said in rows]))
    for step in range(steps):
        ids, labels = _padded([rows[k] for k in next(batches)], model.pad, model.device)
        attended = (ids != model.pad) | (labels != _IGNORED)
        loss = network(input_ids=ids, attention_mask=attended, labels=labels, num_items_in_batch=usual).loss
        network.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        share = _share(step, steps)
        for optimizer, rates in zip(optimizers, base, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * share
            optimizer.step()
        report(step + 1, steps)
    network.zero_grad()
    network.eval()


def _optimizers(network: Any, learning_rate: float) -> list[Any]:
    """Muon for the matrices inside the blocks, which need fewer steps by it, and AdamW for all else."""
    inside = [weights for weights in network.model.layers.parameters() if weights.ndim == 2]
    known = set(map(id, inside))
    other = [weights for weights in network.parameters() if id(weights) not in known]
    return [
        torch.optim.Muon(inside, lr=_MUON * learning_rate, weight_decay=0.05),
        torch.optim.AdamW(other, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _share(step: int, steps: int) -> float:
    """Of the learning rate: up over the first twentieth of the steps, down over the last quarter."""
    return min(1.0, (step + 1) / (0.05 * steps), (steps - step) / (0.25 * steps))


def _batches(lengths: Sequence[int], size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    """Rows in batches without end, each row once a round; rows of a batch are of similar length, to pad little."""
    while True:
        order = generator.permutation(len(lengths)).tolist()
        found = []
        for start in range(0, len(order), 8 * size):
            near = sorted(order[start : start + 8 * size], key=lengths.__getitem__)
            found += [near[k : k + size] for k in range(0, len(near), size)]
        yield from (found[k] for k in generator.permutation(len(found)))


def _padded(rows: Sequence[tuple[list[int], list[int]]], pad: int, device: Any) -> tuple[Any, Any]:
    longest = max(len(asked) + len(said) for asked, said in rows)
    ids = [asked + said + [pad] * (longest - len(asked) - len(said)) for asked, said in rows]
    labels = [[_IGNORED] * len(asked) + said + [_IGNORED] * (longest - len(asked) - len(said)) for asked, said in rows]
    return torch.tensor(ids, device=device), torch.tensor(labels, device=device)
