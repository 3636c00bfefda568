"""Recipes: settings of TRL's trainers that are safe anywhere, and training that resumes to the same result."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError
from pluralism.policy.lm.trl_names import trl_name

__all__ = [
    "BCO",
    "DPO",
    "FDPO",
    "IPO",
    "KTO",
    "PRO",
    "RPO",
    "SAMI",
    "TRPA",
    "AlignDistil",
    "BCOPair",
    "CurryDPO",
    "GroupGRPO",
    "LengthNormalisedDPO",
    "ListRecipe",
    "PairedRecipe",
    "Recipe",
    "RobustDPO",
    "SPPOHard",
    "SoftSPPO",
    "SupervisedTuning",
    "UnpairedRecipe",
    "prompt_weights",
    "recipe_by_name",
    "recipe_names",
    "train_per_group",
    "training_history",
]

_WHERE = {
    "AlignDistil": "align_distil",
    "BCO": "bco",
    "BCOPair": "bco_pair",
    "CurryDPO": "curry_dpo",
    "DPO": "dpo",
    "FDPO": "f_dpo",
    "GroupGRPO": "group_grpo",
    "IPO": "ipo",
    "KTO": "kto",
    "LengthNormalisedDPO": "length_normalised_dpo",
    "ListRecipe": "response_lists",
    "PRO": "pro",
    "PairedRecipe": "paired",
    "RPO": "rpo",
    "Recipe": "recipe",
    "RobustDPO": "robust_dpo",
    "SAMI": "sami",
    "SPPOHard": "sppo_hard",
    "SoftSPPO": "soft_sppo",
    "SupervisedTuning": "supervised",
    "TRPA": "trpa",
    "UnpairedRecipe": "unpaired",
    "prompt_weights": "prompt_balance",
    "train_per_group": "per_group",
    "training_history": "training_folder",
}

_BY_NAME = {
    "bco": "BCO",
    "bco_pair": "BCOPair",
    "dpo": "DPO",
    "f_dpo": "FDPO",
    "ipo": "IPO",
    "kto": "KTO",
    "length_normalised_dpo": "LengthNormalisedDPO",
    "pro": "PRO",
    "robust_dpo": "RobustDPO",
    "rpo": "RPO",
    "sami": "SAMI",
    "soft_sppo": "SoftSPPO",
    "sppo_hard": "SPPOHard",
    "supervised": "SupervisedTuning",
    "trpa": "TRPA",
}

_DROPPED = {"nash_md": "NashMDTrainer"}
"""Methods whose trainer the pinned TRL no longer has."""

if TYPE_CHECKING:
    from pluralism.policy.lm.recipes.align_distil import AlignDistil
    from pluralism.policy.lm.recipes.bco import BCO
    from pluralism.policy.lm.recipes.bco_pair import BCOPair
    from pluralism.policy.lm.recipes.curry_dpo import CurryDPO
    from pluralism.policy.lm.recipes.dpo import DPO
    from pluralism.policy.lm.recipes.f_dpo import FDPO
    from pluralism.policy.lm.recipes.group_grpo import GroupGRPO
    from pluralism.policy.lm.recipes.ipo import IPO
    from pluralism.policy.lm.recipes.kto import KTO
    from pluralism.policy.lm.recipes.length_normalised_dpo import LengthNormalisedDPO
    from pluralism.policy.lm.recipes.paired import PairedRecipe
    from pluralism.policy.lm.recipes.per_group import train_per_group
    from pluralism.policy.lm.recipes.pro import PRO
    from pluralism.policy.lm.recipes.prompt_balance import prompt_weights
    from pluralism.policy.lm.recipes.recipe import Recipe
    from pluralism.policy.lm.recipes.response_lists import ListRecipe
    from pluralism.policy.lm.recipes.robust_dpo import RobustDPO
    from pluralism.policy.lm.recipes.rpo import RPO
    from pluralism.policy.lm.recipes.sami import SAMI
    from pluralism.policy.lm.recipes.soft_sppo import SoftSPPO
    from pluralism.policy.lm.recipes.sppo_hard import SPPOHard
    from pluralism.policy.lm.recipes.supervised import SupervisedTuning
    from pluralism.policy.lm.recipes.training_folder import training_history
    from pluralism.policy.lm.recipes.trpa import TRPA
    from pluralism.policy.lm.recipes.unpaired import UnpairedRecipe


def recipe_names() -> tuple[str, ...]:
    """Names that `recipe_by_name` knows."""
    return tuple(_BY_NAME)


def recipe_by_name(name: str, **settings: Any) -> Recipe:
    """A recipe by the name of its loss; `CurryDPO`, which is made of others, has none.

    Parameters
    ----------
    name : str
        One of `recipe_names`.
    **settings
        Those of the recipe's class.

    Raises
    ------
    UsageError
        There is no such loss, or no such setting.
    MissingExtraError
        The pinned version of TRL has dropped the method ("nash_md").

    Examples
    --------
    >>> recipe_by_name("ipo", beta=0.5).beta
    0.5
    """
    if name in _DROPPED:
        trl_name(_DROPPED[name])
    if name not in _BY_NAME:
        raise UsageError(f"There is no loss {name!r}.", fix=f"Choose one of {', '.join(_BY_NAME)}.")
    kind = __getattr__(_BY_NAME[name])
    known = list(kind.__dataclass_fields__)
    strange = [key for key in settings if key not in known]
    if strange:
        raise UsageError(f"{name} has no setting {strange[0]!r}.", fix=f"Its settings are {', '.join(known)}.")
    return kind(**settings)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"pluralism.policy.lm.recipes.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'pluralism.policy.lm.recipes' has no attribute {name!r}")
