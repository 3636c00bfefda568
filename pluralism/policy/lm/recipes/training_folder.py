"""The folder of one training: its checkpoints while it runs, and the model or adapter that came out."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pluralism.errors import ModelFileError, UsageError
from pluralism.files.atomic import atomic_write, storage_error
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.run_folder import RunFolder

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["TrainingFolder", "training_history"]

_STEP = re.compile(r"checkpoint-(\d+)")
_HISTORY = "history.json"


class TrainingFolder(RunFolder):
    """Where a training keeps its checkpoints and its result, so that a killed one goes on from the last checkpoint.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    settings : mapping
        All that decides the result, as JSON.

    Raises
    ------
    UsageError
        The folder holds a training of other settings, or other files.
    StorageError
        The folder cannot be written.
    """

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps checkpoints until the training is finished."""
        return self.folder / "checkpoints"

    @property
    def result(self) -> Path:
        """Where the trained model lies, or its adapter alone."""
        return self.folder / "model"

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return self.result.is_dir()

    def newest_checkpoint(self) -> str | None:
        """The last checkpoint that was written to its end; one that a kill cut short does not count."""
        found = []
        for path in self.checkpoints.glob("checkpoint-*") if self.checkpoints.is_dir() else ():
            step = _STEP.fullmatch(path.name)
            if step and _is_whole(path):
                found.append((int(step[1]), str(path)))
        return max(found)[1] if found else None

    def keep(self, trained: LanguageModel, history: Sequence[Mapping[str, Any]]) -> None:
        """Save a result: it is there whole, or not at all. The checkpoints are removed."""
        partial = self.folder / "model.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            if Adapter.is_on(trained.network):
                Adapter.of(trained.network).save(partial)
            else:
                trained.save(partial)
            atomic_write(self.folder / _HISTORY, json.dumps(list(history), indent=1))
            partial.rename(self.result)
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        except OSError as cause:
            raise storage_error("write", self.result, cause) from cause

    def load(self, start: LanguageModel, name: str) -> LanguageModel:
        """The result of a finished training, given the model that it began with."""
        if (self.result / "adapter_config.json").exists():
            adapter = Adapter.load(self.result)
            return replace(start, network=adapter.on(Adapter.base_of(start.network)), name=name)
        kind = str(start.network.dtype).removeprefix("torch.")
        loaded = type(start).load(self.result, device=str(start.device), dtype=kind)
        return replace(loaded, tokenizer=start.tokenizer, name=name)


def training_history(folder: str | os.PathLike[str]) -> pa.Table:
    """What a finished training logged: a row for each time, with step, epoch, loss and what the trainer measured.

    Parameters
    ----------
    folder : path-like
        The folder given to `train`.

    Raises
    ------
    UsageError
        There is no finished training in it.
    ModelFileError
        The record is damaged.
    """
    path = Path(folder) / _HISTORY
    if not path.exists():
        raise UsageError("There is no finished training here.", where=str(path.parent), fix="Train first.")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return pa.table(
            {name: [row.get(name) for row in rows] for name in dict.fromkeys(k for row in rows for k in row)}
        )
    except (ValueError, AttributeError, TypeError) as cause:
        raise ModelFileError("The record of a training is damaged.", where=str(path), fix="Train again.") from cause


def _is_whole(checkpoint: Path) -> bool:
    """Whether the trainer's state is there, which is written last."""
    try:
        return isinstance(json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False
