"""Recipes: one TOML file a published model, read by the command line and copied by users.

A recipe has a table `[recipe]` (name, title, paper, assumes, cannot_identify, measured), a `kind` and a table
`[parameters]`
with the keywords of that class.
"""

from __future__ import annotations

import importlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralism.errors import UsageError
from pluralism.models.base import KINDS, PreferenceModel

__all__ = ["Recipe", "available", "model_from_recipe", "read_recipe"]


@dataclass(frozen=True)
class Recipe:
    """A model's kind and settings, and what it assumes."""

    name: str
    title: str
    kind: str
    parameters: dict[str, Any]
    paper: str = ""
    assumes: str = ""
    cannot_identify: str = ""
    measured: str = ""

    def build(self, **changes: Any) -> PreferenceModel:
        """The model, with some parameters changed.

        Raises
        ------
        UsageError
            If a parameter is not one of the model's.
        """
        cls = getattr(importlib.import_module(KINDS[self.kind]), self.kind)
        parameters = self.parameters | changes
        unknown = sorted(set(parameters) - set(cls().get_params()))
        if unknown:
            raise UsageError(
                f"{self.kind} has no parameter {unknown[0]!r}.",
                where=f"recipe {self.name!r}",
                fix=f"Its parameters are {', '.join(sorted(cls().get_params()))}.",
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()})


def available() -> dict[str, Path]:
    """Shipped recipes by name."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_recipes", package.parent / "models"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def read_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or one of your own by path.

    Raises
    ------
    UsageError
        If there is no such recipe, or the file is no recipe.
    """
    shipped = available()
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(
            f"There is no recipe {str(name_or_path)!r}.",
            fix=f"Shipped recipes: {', '.join(shipped)}. Or give the path of a .toml file.",
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe is not valid TOML: {error}.", where=str(path)) from error
    head = document.get("recipe", {})
    kind = document.get("kind")
    if kind not in KINDS:
        raise UsageError(
            f"The recipe's kind is {kind!r}.", where=str(path), fix=f"kind is one of {', '.join(sorted(KINDS))}."
        )
    known = {"name", "title", "paper", "assumes", "cannot_identify", "measured"}
    texts = {key: str(value) for key, value in head.items() if key in known}
    return Recipe(**({"name": path.stem, "title": kind} | texts), kind=kind, parameters=document.get("parameters", {}))


def model_from_recipe(name_or_path: str | Path, **changes: Any) -> PreferenceModel:
    """The model of a recipe, with some parameters changed."""
    return read_recipe(name_or_path).build(**changes)
