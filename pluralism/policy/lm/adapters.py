"""One adapter: taken from a trained network, put on a base without copying it, saved and loaded as PEFT does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pluralism.errors import ModelFileError, UsageError
from pluralism.extras import require
from pluralism.policy.lm.library_warnings import without_rename_warnings
from pluralism.policy.lm.recipes.quiet_trainer import kept_random_states
from pluralism.policy.lm.shared_weights import OWN_PARTS, shared_copy

__all__ = ["ADAPTER_NAME", "Adapter"]

ADAPTER_NAME = "default"
"""What PEFT and TRL call the only adapter of a network."""

_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class Adapter:
    """The settings and weights of one LoRA or one tuned prompt.

    Attributes
    ----------
    config : peft.PeftConfig
    weights : mapping of str to Tensor
        As PEFT names them in files.
    """

    config: Any
    weights: Mapping[str, torch.Tensor]

    @staticmethod
    def is_on(network: Any) -> bool:
        """Whether a network has an adapter."""
        return hasattr(network, "peft_config") and hasattr(network, "get_base_model")

    @classmethod
    def of(cls, network: Any) -> Adapter:
        """The active adapter of a network, with weights of its own.

        Raises
        ------
        UsageError
            The network has none.
        """
        if not cls.is_on(network):
            raise UsageError("This model has no adapter.", fix="Train one: a recipe with adapter=Lora().")
        peft, name = _peft(), network.active_adapter
        state = peft.get_peft_model_state_dict(network, adapter_name=name, save_embedding_layers=False)
        return cls(network.peft_config[name], {key: value.detach().clone() for key, value in state.items()})

    @staticmethod
    def base_of(network: Any) -> Any:
        """The network without any adapter, over the same weights: what the adapter was trained on.

        A network without adapters is given back as it is.
        """
        if not Adapter.is_on(network):
            return network
        body = shared_copy(network)
        return _plain(body.unload() if hasattr(body, "unload") else body.get_base_model())

    @staticmethod
    def merged(network: Any) -> Any:
        """A network with its LoRA merged into weights of its own; one without adapters is given back as it is.

        Raises
        ------
        UsageError
            The adapter is one that cannot be merged, such as a prompt.
        """
        if not Adapter.is_on(network):
            return network
        if not hasattr(network, "merge_and_unload"):
            raise UsageError(
                "The adapter of this model cannot be merged into its weights.",
                fix="Train an adapter of the same kind, or begin with the base.",
            )
        return _plain(copy.deepcopy(network).merge_and_unload())

    def on(self, base: Any, *, trained: bool = False) -> Any:
        """A network with this adapter, over the weights of `base`, which stays as it is.

        Parameters
        ----------
        base : transformers model
            Without adapters.
        trained : bool
            Whether the adapter's weights ask for gradients.

        Raises
        ------
        UsageError
            The adapter was made for another kind of network.
        """
        peft = _peft()
        try:
            # PEFT draws weights first, which are then replaced.
            with without_rename_warnings(), kept_random_states():
                network = peft.get_peft_model(shared_copy(base), _for(self.config, trained), adapter_name=ADAPTER_NAME)
            found = peft.set_peft_model_state_dict(network, dict(self.weights), adapter_name=ADAPTER_NAME)
        except (ValueError, RuntimeError, KeyError) as cause:
            raise _misfit(str(cause)) from cause
        # PEFT reads tuned prompts in another way, strictly, and reports them as lost and missing none the less.
        if not self.config.is_prompt_learning:
            if found.unexpected_keys:
                raise _misfit(f"the base has no layer for {found.unexpected_keys[0]!r}")
            absent = [key for key in found.missing_keys if any(part in key for part in OWN_PARTS)]
            if absent:
                raise _misfit(f"it has no weights for {absent[0]!r}")
        return network.train(trained)

    def save(self, folder: str | Path) -> Path:
        """Write settings (JSON) and weights (safetensors) as `PeftModel.from_pretrained` reads them."""
        from safetensors.torch import save_file

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous().cpu() for key, value in self.weights.items()}, place / _WEIGHTS)
        _for(self.config, False).save_pretrained(str(place))
        return place

    @classmethod
    def load(cls, folder: str | Path) -> Adapter:
        """Read what `save` or PEFT wrote; only safetensors weights are read.

        Raises
        ------
        ModelFileError
            The files are missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        place = Path(folder)
        if not (place / "adapter_config.json").is_file():
            # PEFT would look for such a name on the hub.
            raise ModelFileError("There is no adapter here.", where=str(place), fix="Give the folder of an adapter.")
        try:
            return cls(_peft().PeftConfig.from_pretrained(str(place)), load_file(place / _WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as cause:
            raise ModelFileError(
                f"The adapter cannot be read: {str(cause).strip().splitlines()[0]}",
                where=str(place),
                fix="Give the folder of an adapter with safetensors weights, or train it again.",
            ) from cause

    def __repr__(self) -> str:
        n = sum(value.numel() for value in self.weights.values())
        return f"Adapter({type(self.config).__name__.removesuffix('Config')}, {n:,} parameters)"


def _for(config: Any, trained: bool) -> Any:
    copied = copy.copy(config)
    copied.inference_mode = not trained
    return copied


def _plain(network: Any) -> Any:
    """Without the settings of adapters that PEFT leaves behind on a base."""
    network.__dict__.pop("peft_config", None)
    return network


def _peft() -> Any:
    return require("peft", extra="lm", purpose="An adapter")


def _misfit(why: str) -> UsageError:
    return UsageError(
        f"The adapter does not fit this model: {why.strip().splitlines()[0]}.",
        fix="Put it on the base it was made for.",
    )
