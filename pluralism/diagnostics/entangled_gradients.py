"""Gradient entanglement of a language model: both gradients of each pair, and one tiny step to see what happens."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pluralism.diagnostics.gradient_entanglement import Entanglement, entanglement
from pluralism.diagnostics.margin_losses import Loss, PairTerms, margin_loss
from pluralism.errors import DataError, UsageError
from pluralism.policy.kl_optimal import check_beta

if TYPE_CHECKING:
    from pluralism.policy.lm import LanguageModel

__all__ = ["entanglement_of_model"]

Parameters = dict[str, torch.Tensor]
ADAPTERS = ("lora_", "prompt_encoder", "modules_to_save")
"""What PEFT puts into the names of an adapter's weights."""


def entanglement_of_model(
    model: LanguageModel,
    prompts: Sequence[str],
    chosen: Sequence[str],
    rejected: Sequence[str],
    *,
    loss: str | Loss = "dpo",
    beta: float = 0.1,
    margin: float = 1.0,
    sft_weight: float = 1.0,
    reference: LanguageModel | None = None,
    parameters: Callable[[str], bool] | None = None,
    change: float = 0.01,
    groups: Sequence[Hashable] | None = None,
    system: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> Entanglement:
    """Measure what one step on each pair by itself does to its two responses [1]_.

    The two gradients are taken without dropout, one backward pass for each. The step follows the loss, and is as long
    as makes the larger of the two first-order changes `change` nats. Nothing of the model is changed; a pair takes the
    memory of four copies of the trained weights.

    Parameters
    ----------
    model : LanguageModel
    prompts, chosen, rejected : sequence of str
        One of each for a pair.
    loss : str or callable
        A name of `pluralism.diagnostics.MARGIN_LOSSES`, or a function from `PairTerms` to a scalar of torch.
    beta, margin, sft_weight : float
        Of the losses by name.
    reference : LanguageModel, optional
        For losses with log-ratios; left out, the model itself, as at the start of training.
    parameters : callable, optional
        Says by its name whether a weight is trained. Left out, the weights of an adapter where the model has one, and
        otherwise all.
    change : float
        Size of the step in nats, above 0: small for the first order to hold, but well above the rounding of
        log-probabilities (about 1e-5 in float32).
    groups : sequence, optional
        The group that each pair comes from.
    system, examples
        What the model is shown before each prompt.

    Raises
    ------
    UsageError
        If no weight is trained, there is no such loss, or weights have half precision, which loses so small a step.
    DataError
        If there are no pairs, or not one of each.

    References
    ----------
    .. [1] H. Yuan et al., "A common pitfall of margin-based language model alignment: gradient entanglement",
       ICLR 2025, arXiv:2410.13828.
    """
    if not len(prompts) == len(chosen) == len(rejected) or not prompts:
        raise DataError("Prompts, chosen and rejected responses do not fit.", fix="Give one of each for a pair.")
    if not change > 0:
        raise UsageError(f"change={change!r} is not possible.", fix="It is a number of nats above 0, such as 0.01.")
    if model.network.dtype in (torch.bfloat16, torch.float16):
        raise UsageError(
            f"A tiny step is lost in the rounding of {model.network.dtype}.",
            fix='Load the model with dtype="float32".',
        )
    form = margin_loss(loss, beta=check_beta(beta, positive=True), margin=margin, sft_weight=sft_weight)
    trained = _trained(model.network, parameters)
    shown: dict[str, Any] = {"system": system, "examples": examples}
    rows = []
    for prompt, first, second in zip(prompts, chosen, rejected, strict=True):
        asked = model.prompt_tokens(prompt, **shown)
        answers = [model.response_tokens(first), model.response_tokens(second)]
        base = None if reference is None else reference.token_log_probs([asked, asked], answers).total
        rows.append(_pair(model.network, trained, asked, answers, base, form, change))
    columns = np.array(rows, dtype=np.float64).T
    inner, squares, d, seen, rate = columns[0], columns[1:3], columns[3:5], columns[5:7], columns[7]
    found = entanglement(inner, *squares, d_chosen=d[0], d_rejected=d[1], groups=groups)
    return replace(found, observed_chosen=seen[0], observed_rejected=seen[1], rate=rate)


def _trained(network: Any, parameters: Callable[[str], bool] | None) -> Parameters:
    """Copies, that gradients can be taken of, of the weights that are trained."""
    names = [name for name, weight in network.named_parameters() if weight.is_floating_point()]
    if parameters is None:
        adapter = [name for name in names if any(part in name for part in ADAPTERS)]
        kept = adapter if hasattr(network, "peft_config") else names
    else:
        kept = [name for name in names if parameters(name)]
    if not kept:
        raise UsageError("No weight is trained.", fix="Let parameters name some, or leave it out.")
    weights = dict(network.named_parameters())
    return {name: weights[name].detach().clone().requires_grad_() for name in kept}


def _pair(
    network: Any,
    trained: Parameters,
    asked: Sequence[int],
    answers: Sequence[Sequence[int]],
    base: np.ndarray | None,
    form: Loss,
    change: float,
) -> tuple[float, ...]:
    """Inner product, squared norms, both d, observed changes, and the learning rate."""
    from pluralism.policy.lm.teacher_forcing import evaluating

    with evaluating(network):
        values, gradients = [], []
        for answer in answers:
            with torch.enable_grad():
                value = _log_prob(network, trained, asked, answer)
                gradients.append(torch.autograd.grad(value, list(trained.values()), allow_unused=True))
            values.append(float(value.detach()))
        d = _pulls(form, values, values if base is None else base.tolist(), [len(answer) for answer in answers])
        # Weights that one response does not use have no gradient of it.
        both = [[torch.zeros_like(w) if g is None else g for g, w in zip(part, trained.values(), strict=True)]
                for part in gradients]  # fmt: skip
        first, second, inner = (_dot(*pair) for pair in ((both[0], both[0]), (both[1], both[1]), (both[0], both[1])))
        largest = max(abs(d[0] * first - d[1] * inner), abs(d[0] * inner - d[1] * second))
        rate = change / largest if largest > 0 else 0.0
        with torch.no_grad():
            moved = {
                name: weight + rate * (d[0] * up - d[1] * down)
                for (name, weight), up, down in zip(trained.items(), *both, strict=True)
            }
            after = [float(_log_prob(network, moved, asked, answer)) for answer in answers]
    return inner, first, second, *d, after[0] - values[0], after[1] - values[1], rate


def _log_prob(network: Any, weights: Parameters, asked: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    ids = torch.tensor([[*asked, *answer]], device=network.device)
    options = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False, "return_dict": True}
    logits = torch.func.functional_call(network, weights, args=(), kwargs=options).logits
    # From the end: virtual tokens of a prompt adapter stand before the first.
    own = torch.log_softmax(logits[0, -len(answer) - 1 : -1].double(), dim=-1)
    return own.gather(1, ids[0, -len(answer) :, None]).sum()


def _pulls(form: Loss, values: Sequence[float], base: Sequence[float], tokens: Sequence[int]) -> tuple[float, float]:
    """What the loss pulls at: -dL / dlog pi_w and dL / dlog pi_l."""
    chosen, rejected = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values)
    fixed = [torch.tensor(value, dtype=torch.float64) for value in base]
    with torch.enable_grad():
        loss = form(PairTerms(chosen, rejected, fixed[0], fixed[1], tokens[0], tokens[1]))
        slopes = torch.autograd.grad(loss, [chosen, rejected], allow_unused=True)
    pulls = [0.0 if slope is None else float(slope) for slope in slopes]
    return -pulls[0], pulls[1]


def _dot(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    return float(sum((a.double() * b.double()).sum() for a, b in zip(first, second, strict=True)))
