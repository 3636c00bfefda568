"""A steering vector of those dimensions that make the model prefer what a group chose."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from pluralism.errors import ConvergenceWarning, UsageError
from pluralism.policy.lm.conditioning.layers import changed_layer, padded
from pluralism.policy.lm.conditioning.path_attribution import Attribution, integrated_gradients
from pluralism.policy.lm.conditioning.steering_vector import SteeringVector, pair_tokens, steered
from pluralism.policy.lm.teacher_forcing import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["attribute_margin", "attributed_steering"]

TOLERANCE = 0.01
"""Error of the quadrature, relative to the change of the margin, above which a warning is due."""


def attribute_margin(
    model: LanguageModel,
    vector: SteeringVector,
    prompts: Sequence[str],
    chosen: Sequence[str],
    rejected: Sequence[str],
    *,
    steps: int = 16,
    system: str | None = None,
    batch_size: int = 8,
) -> Attribution:
    """What each dimension of a steering vector adds to the margin between chosen and rejected answers.

    The function is the mean over pairs of log pi(chosen) - log pi(rejected), each in the mean over tokens, of the
    model steered by alpha times the vector; the path leads from alpha = 0, the plain model, to 1. Attributions sum to
    what the whole vector changes.

    Parameters
    ----------
    model : LanguageModel
        Its weights stay as they are; gradients are taken for the vector alone.
    vector : SteeringVector
    prompts, chosen, rejected : sequences of str
    steps : int
        Gradients along the path; each is a pass forward and back over all pairs.
    system : str, optional
    batch_size : int
        Pairs that run together.

    Raises
    ------
    UsageError
        As in `SteeringVector.from_pairs`.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size!r} is not possible.", fix="Run one pair or more together.")
    asked, liked, disliked = pair_tokens(model, prompts, chosen, rejected, system)
    n = len(asked)

    def margin(added: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for first in range(0, n, batch_size):
            mine = range(first, min(first + batch_size, n))
            rows = [(asked[k], liked[k], 1.0) for k in mine] + [(asked[k], disliked[k], -1.0) for k in mine]
            total = total + _signed_log_probs(model, rows, added, vector.layer)
        return total / n

    end = torch.tensor(vector.vector, dtype=torch.float32, device=model.device)
    with evaluating(model.network):
        return integrated_gradients(margin, end, steps=steps)


def attributed_steering(
    model: LanguageModel,
    prompts: Sequence[str],
    chosen: Sequence[str],
    rejected: Sequence[str],
    *,
    layer: int | None = None,
    share: float = 0.9,
    steps: int = 16,
    system: str | None = None,
    batch_size: int = 8,
) -> SteeringVector:
    """The mean difference of a group's pairs, kept in the dimensions that raise the margin of what it chose.

    Integrated gradients tell which dimensions do so (`attribute_margin`). The fewest are kept that have the share of
    all that raises the margin; the others, also those in which pairs differ without effect, are put to zero, and the
    vector is scaled back to its length.

    Parameters
    ----------
    model, prompts, chosen, rejected, layer, system
        As in `SteeringVector.from_pairs`.
    share : float
        In (0, 1].
    steps, batch_size
        As in `attribute_margin`.

    Raises
    ------
    UsageError
        As in `SteeringVector.from_pairs`, the share cannot work, or no dimension raises the margin.

    Notes
    -----
    GrAInS attributes the margin to tokens of the input and makes vectors from what those add; here it is attributed to
    the dimensions of the intervention itself, which is what steers.

    References
    ----------
    D. Nguyen et al., "GrAInS: gradient-based attribution for inference-time steering of LLMs and VLMs",
    arXiv:2507.18043.
    """
    if not 0 < share <= 1:
        raise UsageError(f"share={share!r} is not possible.", fix="It is above 0 and at most 1.")
    plain = SteeringVector.from_pairs(model, prompts, chosen, rejected, layer=layer, system=system)
    found = attribute_margin(model, plain, prompts, chosen, rejected, steps=steps, system=system, batch_size=batch_size)
    raised = np.where(found.values > 0, found.values, 0.0)
    if not raised.any():
        raise UsageError(
            "No dimension of the mean difference raises the margin of the chosen answers.",
            fix="Use another layer, or pairs that differ more.",
        )
    if abs(found.residual) > TOLERANCE * max(abs(found.end - found.start), np.abs(found.values).max()):
        warnings.warn(
            f"Attributions miss the change of the margin, {found.end - found.start:.2g}, by {found.residual:.2g}. Take "
            f"more steps than {steps}.",
            ConvergenceWarning,
            stacklevel=2,
        )
    order = np.argsort(-raised, kind="stable")
    reached = np.cumsum(raised[order])
    n_kept = int(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))) + 1
    kept = np.zeros_like(plain.vector)
    kept[order[:n_kept]] = plain.vector[order[:n_kept]]
    kept *= np.linalg.norm(plain.vector) / np.linalg.norm(kept)
    return SteeringVector(
        kept, plain.layer, "integrated gradients", plain.model, plain.n_pairs, attributions=found.values
    )


def _signed_log_probs(
    model: LanguageModel, rows: Sequence[tuple[list[int], list[int], float]], added: Tensor, layer: int
) -> Tensor:
    """Sum of the signed mean token log-probabilities of the answers, under a steered model."""
    ids, mask = padded([[*prompt, *answer] for prompt, answer, _ in rows], model)
    with changed_layer(model.network, layer, lambda hidden: steered(hidden, added)):
        logits = model.network(input_ids=ids, attention_mask=mask, use_cache=False, return_dict=True).logits
    # From the end: virtual tokens of a prompt adapter stand before the first.
    logits = logits[:, -ids.shape[1] : -1].float()
    found = (logits.gather(2, ids[:, 1:, None])[:, :, 0] - logits.logsumexp(2)).cpu().double()
    weights = torch.zeros(found.shape, dtype=torch.float64)
    for row, (prompt, answer, sign) in enumerate(rows):
        weights[row, len(prompt) - 1 : len(prompt) - 1 + len(answer)] = sign / len(answer)
    return (weights * found).sum()
