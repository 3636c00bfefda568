r"""Soups: one policy whose weights are the weighted mean of the groups' policies.

Of full models the mean is taken weight by weight. Of LoRA adapters it is :math:`\sum_k w_k B_k A_k`, which has the sum
of their ranks: the factors are put side by side ("cat"). PEFT also offers ``"linear"``, which averages the factors A
and B apart from each other, so that each B meets each A: the cross terms make it another policy, and it is not offered
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.policy.lm.adapters import ADAPTER_NAME, Adapter
from pluralism.policy.lm.recipes.quiet_trainer import kept_random_states
from pluralism.policy.lm.shared_weights import same_body, weights_of

if TYPE_CHECKING:
    from pluralism.policy.lm.adapter_bank import AdapterBank
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["adapter_soup", "model_soup"]

_SIMPLEX = "Give one weight from 0 for each, which sum to 1, as from pluralism.policy.maxmin."


def adapter_soup(bank: AdapterBank, weights: Mapping[str, float] | ArrayLike, *, name: str = "soup") -> LanguageModel:
    r"""The policy with :math:`W + \sum_k w_k \Delta W_k`, exactly, of the LoRA adapters of a bank.

    Parameters
    ----------
    bank : AdapterBank
        Of LoRA adapters; their ranks may differ.
    weights : mapping of str to float, or array of shape (groups,)
        On the simplex, by group or in the order of the bank's groups: welfare weights, such as those of MaxMin.
    name : str
        For reports.

    Returns
    -------
    LanguageModel
        On the base's weights, with one adapter whose rank is the sum of the ranks.

    Raises
    ------
    UsageError
        Weights off the simplex or of other groups, or adapters that are no LoRA of one kind.

    References
    ----------
    A. Ramé et al., "Rewarded soups: towards Pareto-optimal alignment by interpolating weights fine-tuned on diverse
    rewards", NeurIPS 2023, arXiv:2306.04488.
    """
    w = _simplex(weights, bank.groups)
    peft = require("peft", extra="lm", purpose="A soup of adapters")
    for group, adapter in bank.adapters.items():
        held = adapter.config
        plain = type(held) is peft.LoraConfig and not held.use_dora and not held.use_rslora and held.bias == "none"
        if not plain or held.modules_to_save:
            raise UsageError(
                f"The adapter of {group!r} is no plain LoRA, and only those add up.",
                fix="Train the groups with adapter=Lora(), or make a soup of full models.",
            )
    network = _side_by_side(bank)
    names = [_name(k) for k in range(len(w))]
    # Weights of 0 would add ranks that do nothing.
    used = [(name, float(weight)) for name, weight in zip(names, w, strict=True) if weight > 0]
    with kept_random_states():
        network.add_weighted_adapter(
            [name for name, _ in used], [weight for _, weight in used], "soup", combination_type="cat"
        )
    state = peft.get_peft_model_state_dict(network, adapter_name="soup", save_embedding_layers=False)
    soup = Adapter(network.peft_config["soup"], {key: value.detach().clone() for key, value in state.items()})
    return replace(bank.base, network=soup.on(bank.base.network), name=name)


def model_soup(
    models: Sequence[LanguageModel] | Mapping[str, LanguageModel],
    weights: Mapping[str, float] | ArrayLike,
    *,
    name: str = "soup",
) -> LanguageModel:
    r"""The model with the weighted mean of the weights, :math:`\theta = \sum_k w_k \theta_k`.

    Sums are in float64. LoRA adapters are merged first.

    Parameters
    ----------
    models : sequence, or mapping of str, of LanguageModel
        Of one architecture, best trained from one start: means of others have no reason to be good.
    weights : mapping of str to float, or array of shape (models,)
        On the simplex.
    name : str
        For reports.

    Raises
    ------
    UsageError
        No models, weights off the simplex, or models whose weights have other names or shapes.

    References
    ----------
    A. Ramé et al., arXiv:2306.04488; M. Wortsman et al., "Model soups", ICML 2022, arXiv:2203.05482.
    """
    named = dict(models) if isinstance(models, Mapping) else {str(k): model for k, model in enumerate(models)}
    w = _simplex(weights, tuple(named))
    networks = [Adapter.merged(model.network) for model in named.values()]
    parts = [weights_of(network) for network in networks]
    shapes = [{key: tuple(value.shape) for key, value in part.items()} for part in parts]
    for label, other in zip(named, shapes, strict=True):
        if other != shapes[0]:
            odd = next(key for key in {**shapes[0], **other} if shapes[0].get(key) != other.get(key))
            raise UsageError(
                f"The models {next(iter(named))!r} and {label!r} differ in {odd!r}.",
                fix="Make soups of models of one architecture.",
            )
    mean = {key: _mean([part[key] for part in parts], w) for key in parts[0]}
    first = next(iter(named.values()))
    return replace(first, network=same_body(networks[0], mean), name=name)


def _mean(values: Sequence[torch.Tensor], weights: np.ndarray) -> torch.Tensor:
    if not values[0].is_floating_point():
        raise UsageError("Quantised weights have no mean.", fix="Load the models in bfloat16 or float32.")
    total = torch.zeros_like(values[0], dtype=torch.float64, device="cpu")
    for value, weight in zip(values, weights, strict=True):
        total += float(weight) * value.detach().cpu().double()
    return total


def _side_by_side(bank: AdapterBank) -> Any:
    """One network with all adapters of a bank."""
    peft = require("peft", extra="lm", purpose="A soup of adapters")
    adapters = list(bank.adapters.values())
    network = adapters[0].on(bank.base.network)
    for k, adapter in enumerate(adapters[1:], start=1):
        with kept_random_states():
            network.add_adapter(_name(k), adapter.config)
        peft.set_peft_model_state_dict(network, dict(adapter.weights), adapter_name=_name(k))
    return network


def _name(place: int) -> str:
    return f"part{place}" if place else ADAPTER_NAME


def _simplex(weights: Mapping[str, float] | ArrayLike, names: Sequence[str]) -> np.ndarray:
    if isinstance(weights, Mapping):
        strange = set(weights) ^ set(names)
        if strange:
            raise UsageError(
                f"There are weights or models without the other: {', '.join(sorted(map(str, strange)))}.", fix=_SIMPLEX
            )
        weights = [weights[name] for name in names]
    w = np.asarray(weights, dtype=float)
    if not names or w.shape != (len(names),) or not (w >= 0).all() or abs(w.sum() - 1) > 1e-6:
        raise UsageError(f"weights={np.array2string(w, precision=4)} are not on the simplex.", fix=_SIMPLEX)
    return w / w.sum()
