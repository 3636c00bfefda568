"""Averaging of two models by blocks of layers, with ratios learnt from answers: what a layer forgets, it gets back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.embeddings.progress import ProgressOption, reporter
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.shared_weights import same_body, shared_copy, weights_of
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["LayerwiseAverage", "layerwise_average"]

_IGNORED = -100


@dataclass(frozen=True, eq=False, repr=False)
class LayerwiseAverage:
    """A model between a start and a tuned one, with a ratio for each block of layers.

    Attributes
    ----------
    model : LanguageModel
    ratios : float64 array (blocks,)
        How far each block has gone from the start (0) to the tuned model (1); their mean is what was asked for.
    layers : tuple of range
        The layers of each block; embeddings go with the first, the head with the last.
    log_prob : float
        Mean log-probability by token of the answers, in nats.
    uniform_log_prob : float
        The same with one ratio for all blocks.
    """

    model: LanguageModel
    ratios: Float64[np.ndarray, " blocks"]
    layers: tuple[range, ...]
    log_prob: float
    uniform_log_prob: float

    def to_frame(self) -> pa.Table:
        """Columns `block, first_layer, last_layer, ratio`."""
        return pa.table(
            {
                "block": list(range(len(self.layers))),
                "first_layer": [part.start for part in self.layers],
                "last_layer": [part.stop - 1 for part in self.layers],
                "ratio": self.ratios,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`, and the log-probabilities."""
        return json_ready(
            {
                "blocks": self.to_frame().to_pylist(),
                "log_prob": self.log_prob,
                "uniform_log_prob": self.uniform_log_prob,
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        ratios = ", ".join(f"{ratio:.2f}" for ratio in self.ratios)
        return (
            f"LayerwiseAverage(ratios {ratios}: {self.log_prob:.3f} nats a token, {self.uniform_log_prob:.3f} with "
            "one ratio)"
        )


def layerwise_average(
    start: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    rewards: ArrayLike | None = None,
    ratio: float = 0.5,
    blocks: int = 3,
    steps: int = 50,
    learning_rate: float = 0.2,
    batch_size: int = 8,
    rng: RNG = 0,
    name: str = "layerwise average",
    progress: ProgressOption = False,
) -> LayerwiseAverage:
    r"""Adaptive model averaging: learn how far each block of layers goes from a start to a tuned model.

    Block b of B has the weights :math:`(1 - \alpha_b) \theta^0_b + \alpha_b \theta^1_b` with
    :math:`\alpha_b = \bar\alpha B \, \sigma(m_b) / \sum_c \sigma(m_c)`, whose mean is :math:`\bar\alpha`. The m are
    learnt by Adam, from 0, to maximise the likelihood of answers that a reward has chosen. A ratio may
    exceed 1, where its block then goes beyond the tuned model.

    Parameters
    ----------
    start, tuned : LanguageModel
        Of one architecture. LoRA adapters are merged.
    prompts, responses : sequences of str
        Answers, best drawn from the tuned model.
    rewards : array of shape (rows,), optional
        Of the answers: of those to one prompt, the best alone is learnt from. All are by default.
    ratio : float
        The mean ratio, above 0 and below 1.
    blocks : int
        B, from 2 to the number of layers; 3 to 6 in the paper.
    steps, batch_size, learning_rate
        Of the learning of m.
    rng : int, numpy.random.Generator or None
        Orders the answers.
    name : str
        Of the averaged model.
    progress : bool or callable
        As for `pluralism.embeddings.embed`; counts steps.

    Raises
    ------
    UsageError
        Models that differ in kind, or a number that cannot work.
    DataError
        No answers, not as many as prompts, or rewards that are not finite.

    References
    ----------
    Y. Lin et al., "Mitigating the alignment tax of RLHF", EMNLP 2024, arXiv:2309.06256. The published code multiplies
    the start by the ratio; here a ratio of 1 is the tuned model.
    """
    if not (0 < ratio < 1 and steps >= 1 and batch_size >= 1 and learning_rate > 0):
        raise UsageError(
            f"ratio={ratio!r}, steps={steps!r}, batch_size={batch_size!r}, learning_rate={learning_rate!r} are not "
            "possible.",
            fix="ratio is above 0 and below 1, steps and batch_size at least 1, learning_rate above 0.",
        )
    first, second = Adapter.merged(start.network), Adapter.merged(tuned.network)
    old, new = weights_of(first), weights_of(second)
    if {k: v.shape for k, v in old.items()} != {k: v.shape for k, v in new.items()}:
        raise UsageError("The models differ in their layers.", fix="Average a model and one trained from it.")
    place, layers = _blocks(first, blocks)
    rows = _rows(start, prompts, responses, rewards)
    body = shared_copy(first).eval()
    m = torch.zeros(blocks, dtype=torch.float32, device=start.device, requires_grad=True)

    def mixed(alpha: torch.Tensor) -> dict[str, torch.Tensor]:
        # In float32, in which small steps between two models are not lost.
        far = {k: new[k].to(old[k].device).float() - old[k].float() for k in old}
        return {k: (old[k].float() + alpha[place[k]] * far[k]).to(old[k].dtype) for k in old}

    optimiser = torch.optim.Adam([m], lr=learning_rate)
    order = _endless(len(rows), batch_size, as_generator(rng, "layerwise averaging"))
    with reporter(progress, "Averaging by layers") as report:
        for step in range(steps):
            optimiser.zero_grad()
            total, count = _log_prob(body, mixed(_ratios(m, ratio)), [rows[k] for k in next(order)], start.pad)
            (-total / count).backward()
            optimiser.step()
            report(step + 1, steps)
    with torch.no_grad():
        learnt = _ratios(m, ratio)
        found = [
            _mean_log_prob(body, mixed(alpha), rows, start.pad, batch_size)
            for alpha in (learnt, _ratios(torch.zeros_like(m), ratio))
        ]
        network = same_body(first, mixed(learnt))
    return LayerwiseAverage(
        model=replace(start, network=network, name=name),
        ratios=learnt.double().cpu().numpy(),
        layers=layers,
        log_prob=found[0],
        uniform_log_prob=found[1],
    )


def _ratios(m: torch.Tensor, mean: float) -> torch.Tensor:
    shares = torch.sigmoid(m)
    return mean * len(m) * shares / shares.sum()


def _blocks(network: Any, blocks: int) -> tuple[dict[str, int], tuple[range, ...]]:
    """The block of each parameter, and the layers of each block."""
    n = int(network.config.get_text_config().num_hidden_layers)
    if not 2 <= blocks <= n:
        raise UsageError(f"blocks={blocks!r} is not possible.", fix=f"It is from 2 to {n}, the number of layers.")
    stacks = [
        name for name, part in network.named_modules() if isinstance(part, torch.nn.ModuleList) and len(part) == n
    ]
    if not stacks:
        raise UsageError(
            f"The layers of {type(network).__name__} are not in one list.",
            fix="Use model_soup, with one ratio for all.",
        )
    prefix = f"{stacks[0]}."
    parts = tuple(range(int(part[0]), int(part[-1]) + 1) for part in np.array_split(np.arange(n), blocks))
    of_layer = {layer: b for b, part in enumerate(parts) for layer in part}
    place, reached = {}, False
    for name, _ in network.named_parameters():
        if name.startswith(prefix):
            reached = True
            place[name] = of_layer[int(name.removeprefix(prefix).split(".", 1)[0])]
        else:
            place[name] = blocks - 1 if reached else 0
    return place, parts


def _rows(
    model: LanguageModel, prompts: Sequence[str], responses: Sequence[str], rewards: ArrayLike | None
) -> list[tuple[list[int], list[int]]]:
    if isinstance(prompts, str) or len(prompts) != len(responses) or not prompts:
        raise DataError(
            f"There are {len(prompts):,} prompts and {len(responses):,} responses.",
            fix="Give a prompt for each response.",
        )
    chosen: Sequence[int] = range(len(prompts))
    if rewards is not None:
        r = np.asarray(rewards, dtype=float)
        if r.shape != (len(prompts),) or not np.isfinite(r).all():
            raise DataError(f"Rewards of shape {r.shape} do not fit.", fix="Give one finite reward for each response.")
        best: dict[str, int] = {}
        for k, prompt in enumerate(prompts):
            if prompt not in best or r[k] > r[best[prompt]]:
                best[prompt] = k
        chosen = list(best.values())
    known = {prompt: model.prompt_tokens(prompt) for prompt in dict.fromkeys(prompts)}
    rows = [(known[prompts[k]], model.response_tokens(responses[k])) for k in chosen]
    for k, (asked, said) in zip(chosen, rows, strict=True):
        model.check_length(len(asked) + len(said), k)
    return rows


def _log_prob(
    body: Any, weights: dict[str, torch.Tensor], rows: Sequence[tuple[list[int], list[int]]], pad: int
) -> tuple[torch.Tensor, int]:
    """Log-probability of answers under given weights, and their tokens."""
    device, longest = body.device, max(len(asked) + len(said) for asked, said in rows)
    filled = [longest - len(asked) - len(said) for asked, said in rows]
    ids = [[*asked, *said, *[pad] * rest] for (asked, said), rest in zip(rows, filled, strict=True)]
    there = [[1] * (longest - rest) + [0] * rest for rest in filled]
    labels = [
        [_IGNORED] * len(asked) + said + [_IGNORED] * rest for (asked, said), rest in zip(rows, filled, strict=True)
    ]
    inputs = {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(there, device=device),
        "use_cache": False,
    }
    logits = torch.func.functional_call(body, weights, kwargs=inputs).logits[:, :-1].float()
    target = torch.tensor(labels, device=device)[:, 1:]
    lost = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=_IGNORED, reduction="sum")
    return -lost, sum(len(said) for _, said in rows)


def _mean_log_prob(
    body: Any, weights: dict[str, torch.Tensor], rows: Sequence[tuple[list[int], list[int]]], pad: int, size: int
) -> float:
    parts = [_log_prob(body, weights, rows[k : k + size], pad) for k in range(0, len(rows), size)]
    return sum(float(total) for total, _ in parts) / sum(count for _, count in parts)


def _endless(n: int, size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    while True:
        order = generator.permutation(n)
        for k in range(0, n, size):
            yield order[k : k + size].tolist()
