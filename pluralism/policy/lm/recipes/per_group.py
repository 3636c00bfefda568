"""A policy for each group, by one recipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pluralism.embeddings.progress import ProgressOption
from pluralism.policy.lm.conditioning.conditioner import check_groups
from pluralism.policy.lm.recipes.training_rows import choose_rows, groups_of

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.policy.lm.recipes.curry_dpo import CurryDPO
    from pluralism.policy.lm.recipes.recipe import Recipe

__all__ = ["group_folder", "train_per_group"]


def group_folder(group: str) -> str:
    """The name of a group's folder: its own, with what a file system might not take written as in addresses.

    Examples
    --------
    >>> group_folder("18/24 years")
    'group-18%2F24%20years'
    """
    return f"group-{quote(group, safe='')}"


def train_per_group(
    recipe: Recipe | CurryDPO,
    model: LanguageModel,
    data: Any,
    out: str | os.PathLike[str],
    *,
    groups: Sequence[str] | None = None,
    callbacks: Sequence[Any] = (),
    progress: ProgressOption = False,
) -> dict[str, LanguageModel]:
    """Train a policy for each group, on its rows alone.

    Parameters
    ----------
    recipe : Recipe or CurryDPO
    model : LanguageModel
        The start of each, and its reference.
    data : ConditionedPairs, datasets.Dataset, frame, mapping of columns or list of records
        With the columns of the recipe, and `group`.
    out : path-like
        A folder for each group is made in it.
    groups : sequence of str, optional
        All that the data name by default.
    callbacks : sequence of transformers.TrainerCallback
        Each sees the training of every group, one after the other.
    progress : bool or callable

    Returns
    -------
    dict of str to LanguageModel

    Raises
    ------
    DataError
        A group has no rows.
    """
    chosen = groups_of(data) if groups is None else check_groups(groups)
    for group in chosen:
        choose_rows(data, recipe.columns, group=group)
    place = Path(out)
    return {
        group: recipe.train(
            model, data, place / group_folder(group), group=group, callbacks=callbacks, progress=progress
        )
        for group in chosen
    }
