"""One adapter for each group on a shared base."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.embeddings.progress import ProgressOption
from pluralism.errors import ModelFileError, UsageError
from pluralism.files.atomic import atomic_write, storage_error
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.language_model import LanguageModel
from pluralism.policy.lm.recipes.per_group import group_folder, train_per_group
from pluralism.policy.lm.run_folder import weights_digest

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.recipes.curry_dpo import CurryDPO
    from pluralism.policy.lm.recipes.recipe import Recipe
    from pluralism.random import RNG

__all__ = ["AdapterBank"]

_RECORD = "bank.json"
_KIND = "adapter bank"
_FIX = "Give the folder of a bank that was saved, or train it again."


@dataclass(frozen=True, eq=False, repr=False)
class AdapterBank:
    """Policies of groups that share a base: each group has an adapter (LoRA or tuned prompt) of its own.

    The base is there once, whatever the number of groups; without its adapter each policy is the base.

    Attributes
    ----------
    base : LanguageModel
        Without an adapter.
    adapters : mapping of str to Adapter
        By group.
    name : str
        For reports.
    """

    base: LanguageModel
    adapters: Mapping[str, Adapter]
    name: str = "adapter bank"
    _models: dict[str, LanguageModel] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_groups(tuple(self.adapters))
        _check_base(self.base)

    @classmethod
    def of(cls, base: LanguageModel, models: Mapping[str, LanguageModel], *, name: str = "adapter bank") -> AdapterBank:
        """A bank of the adapters of models that were trained on a base.

        Raises
        ------
        UsageError
            A model has no adapter.
        """
        return cls(base, {group: Adapter.of(model.network) for group, model in models.items()}, name)

    @classmethod
    def train(
        cls,
        recipe: Recipe | CurryDPO,
        base: LanguageModel,
        data: Any,
        out: str | os.PathLike[str],
        *,
        groups: Sequence[str] | None = None,
        callbacks: Sequence[Any] = (),
        progress: ProgressOption = False,
    ) -> AdapterBank:
        """Train an adapter for each group on its rows; a training that was killed goes on where it was.

        Parameters
        ----------
        recipe : Recipe or CurryDPO
            With an adapter.
        base : LanguageModel
        data : ConditionedPairs, datasets.Dataset, frame, mapping of columns or list of records
            With the columns of the recipe, and `group`.
        out : path-like
            A folder for each group is made in it.
        groups : sequence of str, optional
            All that the data name by default.
        callbacks : sequence of transformers.TrainerCallback
            Each sees the training of every group, one after the other.
        progress : bool or callable

        Raises
        ------
        UsageError
            The recipe trains all weights, or the base has an adapter already.
        DataError
            A group has no rows.
        """
        if recipe.adapter is None:
            raise UsageError(
                f"The recipe {recipe.name!r} trains all weights, of which each group would need a copy.",
                fix="Give it an adapter, as adapter=Lora(), or use train_per_group.",
            )
        _check_base(base)
        models = train_per_group(recipe, base, data, out, groups=groups, callbacks=callbacks, progress=progress)
        return cls.of(base, models, name=f"{recipe.name} adapters")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that have an adapter."""
        return tuple(self.adapters)

    def model(self, group: str) -> LanguageModel:
        """The policy of a group, over the weights of the base.

        Raises
        ------
        UsageError
            The group has no adapter.
        """
        known_group(group, self.groups)
        if group not in self._models:
            network = self.adapters[group].on(self.base.network)
            self._models[group] = replace(self.base, network=network, name=f"{self.base.name} {group}")
        return self._models[group]

    def generate(
        self,
        prompts: Sequence[str],
        group: str,
        *,
        n: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        rng: RNG = 0,
    ) -> Generations:
        """Answers of a group's policy; see `pluralism.policy.lm.conditioning.Conditioner`."""
        return self.model(group).generate(
            prompts, n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, rng=rng
        )

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write one folder for each group, in PEFT's format, and a record of them; the base is not written.

        Raises
        ------
        UsageError
            The folder has files of something else.
        StorageError
        """
        place = Path(folder)
        if place.exists() and any(place.iterdir()) and not (place / _RECORD).exists():
            raise UsageError("The folder has files of something else.", where=str(place), fix="Choose an empty one.")
        folders = {group: group_folder(group) for group in self.groups}
        record = {
            "kind": _KIND,
            "schema_version": 1,
            "name": self.name,
            "base": {"name": self.base.name, "weights": weights_digest(self.base.network)},
            "groups": folders,
        }
        try:
            place.mkdir(parents=True, exist_ok=True)
            for group, part in folders.items():
                partial = place / f"{part}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                self.adapters[group].save(partial)
                shutil.rmtree(place / part, ignore_errors=True)
                partial.rename(place / part)
            atomic_write(place / _RECORD, json.dumps(record, indent=1))
        except OSError as cause:
            raise storage_error("write", place, cause) from cause
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str], base: LanguageModel) -> AdapterBank:
        """Read a bank that was saved.

        Parameters
        ----------
        folder : path-like
        base : LanguageModel
            The model that the adapters were trained on, with the same weights.

        Raises
        ------
        ModelFileError
            There is no bank, or its files are damaged.
        UsageError
            The base has other weights.
        """
        path = Path(folder) / _RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            parts, held = dict(record["groups"]), record["base"]
            fits = record["kind"] == _KIND and record["schema_version"] == 1 and isinstance(held["weights"], str)
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise ModelFileError("There is no bank of adapters here.", where=str(path), fix=_FIX) from cause
        inside = all(isinstance(part, str) and part == group_folder(group) for group, part in parts.items())
        if not (fits and inside):
            raise ModelFileError("The record of the bank is damaged.", where=str(path), fix=_FIX)
        if weights_digest(base.network) != held["weights"]:
            raise UsageError(
                f"The adapters were trained on {held['name']!r}, whose weights are not those of {base.name!r}.",
                fix="Load the base in the same number format as it had then, or give another.",
            )
        adapters = {group: Adapter.load(path.parent / part) for group, part in parts.items()}
        return cls(base, adapters, str(record.get("name", "adapter bank")))

    def __repr__(self) -> str:
        return f"AdapterBank({len(self.groups)} groups on {self.base!r})"


def _check_base(base: LanguageModel) -> None:
    if Adapter.is_on(base.network):
        raise UsageError(
            f"The base {base.name!r} has an adapter.", fix="Give the model that the adapters are trained on."
        )
