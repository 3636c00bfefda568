"""Bilevel reward design on finite candidates: how the policy that a reward brings about depends on the reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.policy.kl_optimal import check_beta

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hypergradient", "soft_policy", "upper_gradient"]


def soft_policy(rewards: Tensor, log_reference: Float[np.ndarray, "prompts candidates"], *, beta: float) -> Tensor:
    r"""The KL-regularised optimum of a reward, :math:`q \propto p\,e^{r/\beta}`, as a differentiable layer.

    Parameters
    ----------
    rewards : Tensor of shape (prompts, candidates)
        What stands in place of absent candidates does not matter.
    log_reference : array of shape (prompts, candidates)
        -inf for absent candidates.
    beta : float
        Price of a nat of KL, above 0.

    Returns
    -------
    Tensor of shape (prompts, candidates)
        Probabilities.
    """
    import torch

    beta = check_beta(beta, positive=True)
    logs = torch.as_tensor(np.array(log_reference), dtype=rewards.dtype, device=rewards.device)
    if logs.shape != rewards.shape:
        raise UsageError(
            f"Rewards of shape {tuple(rewards.shape)} do not fit {tuple(logs.shape)} candidates.",
            fix="Give one reward for each place.",
        )
    there = torch.isfinite(logs)
    scores = torch.where(there, torch.where(there, logs, 0.0) + rewards / beta, -torch.inf)
    return torch.softmax(scores, dim=1)


def hypergradient(
    reward_gradient: Float[np.ndarray, "parameters prompts candidates"],
    probs: Float[np.ndarray, "prompts candidates"],
    utility: Float[np.ndarray, "prompts candidates"],
    *,
    beta: float,
    prompt_weights: Float[np.ndarray, " prompts"] | None = None,
) -> Float[np.ndarray, " parameters"]:
    r"""Gradient of the utility :math:`E_q U` of the policy that a reward brings about, in the parameters of the reward.

    With the lower level in closed form there is no Hessian to invert:
    :math:`\partial_\nu E_q U = \mathrm{Cov}_q(\partial_\nu r, U) / \beta`.

    Parameters
    ----------
    reward_gradient : array of shape (parameters, prompts, candidates)
        Derivatives of the reward of each candidate.
    probs : array of shape (prompts, candidates)
        The policy of `soft_policy`.
    utility : array of shape (prompts, candidates)
        What the designer values.
    beta : float
        Above 0.
    prompt_weights : array of shape (prompts,), optional
        Summing to 1; equal by default.

    References
    ----------
    S. Chakraborty et al., PARL: A unified framework for policy alignment in reinforcement learning from human feedback,
    ICLR 2024 (arXiv:2308.02585).
    """
    beta = check_beta(beta, positive=True)
    weights = np.full(len(probs), 1.0 / len(probs)) if prompt_weights is None else np.asarray(prompt_weights)
    away = utility - np.sum(probs * utility, axis=1, keepdims=True)
    return np.einsum("x,xy,pxy->p", weights, probs * away, reward_gradient) / beta


def upper_gradient(
    reward: Callable[[Tensor], Tensor],
    parameters: Tensor,
    pair_loss: Callable[[Tensor], Tensor],
    log_reference: Float[np.ndarray, "prompts candidates"],
    *,
    beta: float,
    include_score_term: bool = True,
    prompt_weights: Float[np.ndarray, " prompts"] | None = None,
) -> tuple[float, Tensor]:
    r"""Loss of a reward on pairs drawn from its own policy, and its gradient.

    .. math:: L(\nu) = E_{y_1, y_2 \sim q_\nu}\, \ell_\nu(y_1, y_2), \quad
        \partial L = E\big[\partial \ell + \ell\,(\partial \log q_\nu(y_1) + \partial \log q_\nu(y_2))\big]

    The second term is the data's dependence on the policy, which reward learning usually leaves out.

    Parameters
    ----------
    reward : callable
        From the parameters to rewards of shape (prompts, candidates).
    parameters : Tensor of any shape
    pair_loss : callable
        From the rewards to the losses of all pairs, of shape (prompts, candidates, candidates); finite everywhere.
    log_reference, prompt_weights
        As in `hypergradient`.
    beta : float
        Above 0.
    include_score_term : bool
        Without it the pairs are taken as if they were drawn once and for all.

    Returns
    -------
    loss : float
    gradient : Tensor of the shape of the parameters
    """
    import torch

    at = parameters.detach().clone().requires_grad_(True)
    rewards = reward(at)
    probs = soft_policy(rewards, log_reference, beta=beta)
    if not include_score_term:
        probs = probs.detach()
    n = len(probs)
    weights = torch.full((n,), 1.0 / n) if prompt_weights is None else torch.as_tensor(np.asarray(prompt_weights))
    weights = weights.to(probs.dtype).to(probs.device)
    loss = torch.einsum("x,xi,xj,xij->", weights, probs, probs, pair_loss(rewards))
    (gradient,) = torch.autograd.grad(loss, at)
    return float(loss.detach()), gradient
