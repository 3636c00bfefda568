"""The folder of a run in rounds: whose run it holds, finished parts, and the model of each round, made whole or not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pluralism.errors import ModelFileError, UsageError
from pluralism.files.atomic import atomic_write, storage_error
from pluralism.files.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["RunFolder", "weights_digest"]

_RECORD = "run.json"


class RunFolder:
    """Where a run in rounds keeps what it has finished, so that a killed one goes on from there.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    settings : mapping
        All that decides the result, as JSON; a folder goes on with a run of the same settings alone.

    Raises
    ------
    UsageError
        The folder holds a run of other settings, or other files.
    StorageError
        The folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        text = json.dumps(dict(settings), sort_keys=True, ensure_ascii=False, indent=1)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            record = self.folder / _RECORD
            held = record.read_text(encoding="utf-8") if record.exists() else None
            strange = held is None and any(self.folder.iterdir())
        except OSError as cause:
            raise storage_error("write", self.folder, cause) from cause
        if strange:
            raise UsageError(
                "The folder has files of something else.", where=str(self.folder), fix="Choose an empty one."
            )
        if held is not None and held != text:
            raise UsageError(
                f"The folder holds a run with {_difference(held, text)}.",
                where=str(record),
                fix="Go on with the same model, data and settings, or choose an empty folder.",
            )
        if held is None:
            atomic_write(record, text)
        self.parts = Checkpoint(self.folder / "parts")

    def place(self, round: int) -> Path:
        """Where the model of a round lies, or will."""
        return self.folder / f"round-{round}"

    def scratch(self, round: int) -> Path:
        """Where the training of a round may keep its own checkpoints, until its model is published."""
        return self.folder / f"round-{round}.training"

    def has(self, round: int) -> bool:
        """Whether the model of a round is there."""
        return self.place(round).is_dir()

    def publish(self, round: int, model: LanguageModel) -> Path:
        """Save the model of a round: it is there whole, or not at all. What its training kept is removed."""
        target = self.place(round)
        partial = target.with_name(f"{target.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            model.save(partial)
            partial.rename(target)
            shutil.rmtree(self.scratch(round), ignore_errors=True)
        except OSError as cause:
            raise storage_error("write", target, cause) from cause
        return target


def weights_digest(network: Any) -> str:
    """A digest of a network's weights, by which a run knows its start again."""
    state = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def _difference(held: str, asked: str) -> str:
    try:
        old, new = json.loads(held), json.loads(asked)
    except ValueError as cause:
        raise ModelFileError("The record of a run is damaged.", fix="Choose an empty folder.") from cause
    names = [name for name in new if not isinstance(old, dict) or old.get(name) != new[name]]
    return "other " + ", ".join(names or ["settings"])
