"""What an experiment has generated, in cells on disk: a cell is there as a whole, or is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.files import Checkpoint, atomic_write
from pluralism.files.atomic import storage_error

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations

__all__ = ["CellStore", "Responses"]

RECORD, CELLS = "experiment.json", "cells"
SCHEMA_VERSION = 2


@dataclass(frozen=True, eq=False, repr=False)
class Responses:
    """Responses of one condition to the prompts of an experiment, as many to each.

    Attributes
    ----------
    texts : tuple of str
        Those of the first prompt, then those of the second, and so on.
    n_tokens : int array of shape (prompts, samples)
        Tokens, the one that ends a response included.
    finished : bool array of shape (prompts, samples)
        Whether it ended by itself, before the most tokens.
    log_probs, reference_log_probs : arrays of shape (prompts, samples)
        Of each response under the model that gave it, and under the reference model without conditioning; NaN where
        that is not known.
    """

    texts: tuple[str, ...]
    n_tokens: Int[np.ndarray, "prompts samples"]
    finished: Bool[np.ndarray, "prompts samples"]
    log_probs: Float[np.ndarray, "prompts samples"]
    reference_log_probs: Float[np.ndarray, "prompts samples"]

    def __repr__(self) -> str:
        prompts, samples = self.n_tokens.shape
        return f"Responses({prompts:,} prompts, {samples:,} each, {self.n_tokens.mean():.1f} tokens)"

    @property
    def prompt(self) -> Int[np.ndarray, " rows"]:
        """The place of the prompt of each text."""
        prompts, samples = self.n_tokens.shape
        return np.repeat(np.arange(prompts), samples)

    def of_prompt(self, prompt: int) -> tuple[str, ...]:
        """The texts of one prompt."""
        samples = self.n_tokens.shape[1]
        return self.texts[prompt * samples : (prompt + 1) * samples]

    @classmethod
    def from_generations(
        cls,
        found: Generations,
        n: int,
        reference_log_probs: Float[np.ndarray, " rows"] | None = None,
        *,
        own: bool = True,
    ) -> Responses:
        """Put generations in order; `own` is whether their log-probabilities are of the policy that they came from.

        Raises
        ------
        DataError
            If there are not n for each prompt.
        """
        order = np.lexsort((found.sample, found.prompt))
        shape = (len(found.prompts), n)
        if not np.array_equal(np.asarray(found.prompt)[order], np.repeat(np.arange(shape[0]), n)):
            raise DataError(f"A conditioner did not give {n} responses to each prompt.", fix="Make it give as many.")

        def square(values: Any) -> np.ndarray:
            return np.asarray(values)[order].reshape(shape)

        unknown = np.full(shape, np.nan)
        return cls(
            tuple(found.texts[i] for i in order),
            square(found.n_tokens).astype(np.int64),
            square(found.finished).astype(bool),
            square(found.log_probs).astype(np.float64) if own else unknown,
            unknown if reference_log_probs is None else square(reference_log_probs).astype(np.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Responses]) -> Responses:
        """Blocks of prompts one after the other."""
        names = ("n_tokens", "finished", "log_probs", "reference_log_probs")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(tuple(text for part in parts for text in part.texts), **arrays)


class CellStore:
    """The folder of an experiment, with a record of what its responses depend on.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    facts : mapping of str to JSON values
        What responses depend on. Facts under names that the folder does not know yet are added to it with the first
        response, or by `claim`, so that more methods can join; others must be as they were.

    Raises
    ------
    UsageError
        If the folder holds something else, or responses that depend on other facts.
    ModelFileError
        If its record is damaged.
    """

    def __init__(self, folder: str | Path, facts: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.facts: dict[str, Any] = json.loads(json.dumps(json_ready(dict(facts))))
        self._known()
        self._cells = Checkpoint(self.folder / CELLS)

    def claim(self) -> None:
        """Add the facts to the folder, which is made where it is missing.

        Raises
        ------
        UsageError
            As the constructor.
        StorageError
            The folder cannot be written.
        """
        known = self._known()
        if known | self.facts == known:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise storage_error("write", self.folder, cause) from cause
        document = {"program": "pluralism condition", "schema_version": SCHEMA_VERSION, "facts": known | self.facts}
        atomic_write(self.folder / RECORD, json.dumps(document, ensure_ascii=False, indent=1) + "\n")

    def _known(self) -> dict[str, Any]:
        """The facts of the folder, which are not others than these."""
        known = read_record(self.folder)
        for name, value in self.facts.items():
            if name in known and known[name] != value:
                raise UsageError(
                    f"This folder holds responses that were made otherwise: {_difference(name, known[name], value)}.",
                    where=str(self.folder),
                    fix="Choose another folder, or the settings that it was made with.",
                )
        return known

    def cell(self, key: str, make: Callable[[], Responses]) -> Responses:
        """The responses under a key; made and stored where they are not there."""
        found = self._cells.get(key)
        if found is not None:
            arrays, info = found
            return Responses(tuple(info["texts"]), **arrays)
        made = make()
        self.claim()
        arrays = {name: value for name, value in vars(made).items() if name != "texts"}
        self._cells.put(key, arrays, {"key": key, "texts": list(made.texts)})
        return made

    def has(self, key: str) -> bool:
        """Whether the cell is there, as a whole."""
        return self._cells.get(key) is not None


def read_record(folder: Path) -> dict[str, Any]:
    """The facts of an experiment's folder; none where it is empty or missing.

    Raises
    ------
    UsageError
        If it is a file, or holds something else.
    ModelFileError
        If the record is damaged.
    """
    fix = "Choose another folder, or remove it yourself."
    if folder.exists() and not folder.is_dir():
        raise UsageError("This is a file, and an experiment is a folder.", where=str(folder), fix=fix)
    path = folder / RECORD
    if not path.is_file():
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise UsageError("This folder holds no experiment.", where=str(folder), fix=fix)
        return {}
    try:
        document = json.loads(path.read_bytes())
        facts = document["facts"]
        if document["schema_version"] != SCHEMA_VERSION or not isinstance(facts, dict):
            raise ValueError("another schema")
    except (ValueError, KeyError, TypeError) as cause:
        raise ModelFileError(
            f"The record of the experiment cannot be read: {cause}.", where=str(path), fix=fix
        ) from cause
    return facts


def _difference(name: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        inner = next((key for key in (*new, *old) if old.get(key) != new.get(key)), None)
        if inner is not None:
            return _difference(f"{name}.{inner}", old.get(inner), new.get(inner))
    return f"{name} was {_short(old)} and is {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
