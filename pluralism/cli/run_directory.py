"""A run: a folder with a fitted model and `run.json`, which says what it was fitted on and how that was read."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pluralism import __version__
from pluralism.errors import ModelFileError, UsageError
from pluralism.files import atomic_write, file_digest

if TYPE_CHECKING:
    from pluralism.models import PreferenceModel

__all__ = [
    "CHECKPOINT",
    "EncoderRecord",
    "FileRecord",
    "Run",
    "RunRecord",
    "clear_checkpoint",
    "file_record",
    "load_run",
    "refuse_foreign",
    "save_run",
    "versions",
]

RECORD = "run.json"
CHECKPOINT = ".checkpoint"
SCHEMA_VERSION = 1
_MOST_BYTES = 1 << 22
_VERSIONED = ("numpy", "scipy", "numba", "pyarrow", "torch", "transformers")


class FileRecord(BaseModel):
    """A file that a run read, with what it held then."""

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str


class DataRecord(BaseModel):
    """The data of a run and how they were read."""

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str
    kind: str
    columns: dict[str, str] = {}
    user: str | None = None
    attribute: str | None = None
    max_pairs: int | None = None
    rows: int = 0
    users: int = 0


class EncoderRecord(BaseModel):
    """The encoder of a run; `space` is what the features carry."""

    model_config = ConfigDict(extra="forbid")

    name: str
    options: dict[str, str | bool | int | float] = {}
    space: str | None = None


class RunRecord(BaseModel):
    """The content of `run.json`."""

    model_config = ConfigDict(extra="forbid")

    program: Literal["pluralism"] = "pluralism"
    schema_version: int = SCHEMA_VERSION
    version: str = __version__
    created: str = ""
    command: list[str] = []
    recipe: str = ""
    seed: int = 0
    data: DataRecord
    items: FileRecord | None = None
    features: FileRecord | None = None
    encoder: EncoderRecord | None = None
    cache: str | None = None
    versions: dict[str, str] = {}
    model_sha256: str = ""


class Run:
    """A fitted model and its record; a folder that ``model.save`` wrote has no record.

    Parameters
    ----------
    directory : Path
    model : PreferenceModel
    record : RunRecord or None
    """

    def __init__(self, directory: Path, model: PreferenceModel, record: RunRecord | None) -> None:
        self.directory, self.model, self.record = directory, model, record


def file_record(path: Path) -> FileRecord:
    """Path and digest of a file, or of all files of a folder."""
    from hashlib import sha256

    if not path.is_dir():
        return FileRecord(path=str(path.resolve()), sha256=file_digest(path))
    state = sha256()
    for member in sorted(entry for entry in path.iterdir() if entry.is_file()):
        state.update(f"{member.name}\n{file_digest(member)}\n".encode())
    return FileRecord(path=str(path.resolve()), sha256=state.hexdigest())


def versions() -> dict[str, str]:
    """Versions of what the numbers rest on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"pluralism": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def refuse_foreign(directory: Path) -> None:
    """Refuse to write a run over anything but a run, finished or interrupted, or an empty folder.

    Raises
    ------
    UsageError
        If the path is a file, or a folder that holds something else.
    """
    fix = "Choose another --out, or remove it yourself."
    if directory.exists() and not directory.is_dir():
        raise UsageError("This is a file, and a run is a folder.", where=f"--out {directory}", fix=fix)
    if not directory.is_dir() or (directory / CHECKPOINT).is_dir() or not any(directory.iterdir()):
        return
    try:
        _read_record(directory)
    except ModelFileError:
        what = "This folder is not a run of pluralism fit, so it is not overwritten."
        raise UsageError(what, where=f"--out {directory}", fix=fix) from None


def save_run(directory: Path, model: PreferenceModel, record: RunRecord) -> RunRecord:
    """Write the model, then `run.json` with its digest, so that the two are known to belong together.

    Raises
    ------
    StorageError
        Disk full, read-only directory, failing device.
    """
    model.save(directory)
    record = record.model_copy(
        update={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": ["pluralism", *sys.argv[1:]],
            "versions": versions(),
            "model_sha256": file_digest(directory / "model.json"),
        }
    )
    atomic_write(directory / RECORD, json.dumps(record.model_dump(), ensure_ascii=False, indent=1) + "\n")
    return record


def load_run(directory: Path) -> Run:
    """Load a run, or a model that was saved from Python.

    Raises
    ------
    ModelFileError
        If there is none, or it is damaged, or the record belongs to another model.
    """
    from pluralism.models import load

    if not directory.exists():
        raise ModelFileError("There is no such run.", where=str(directory), fix="Check the path, or fit one first.")
    model = load(directory)
    record = _read_record(directory) if (directory / RECORD).exists() else None
    if record is not None and record.model_sha256 != file_digest(directory / "model.json"):
        raise ModelFileError(
            "run.json belongs to another model: the run was being replaced when that was interrupted.",
            where=str(directory),
            fix="Run the pluralism fit command for this folder again; it resumes.",
        )
    return Run(directory, model, record)


def clear_checkpoint(directory: Path) -> None:
    """Remove the checkpoint of a run, and the run's folder if nothing else is in it."""
    shutil.rmtree(directory / CHECKPOINT, ignore_errors=True)
    with suppress(OSError):
        directory.rmdir()


def _read_record(directory: Path) -> RunRecord:
    path = directory / RECORD
    fix = "Get a good copy of the folder, or fit again."
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ModelFileError("There is no run.json of ordinary size here.", where=str(path), fix=fix)
        document: Any = json.loads(path.read_bytes())
        if isinstance(document, dict) and isinstance(document.get("schema_version"), int):
            _refuse_newer(document["schema_version"], path)
        return RunRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the document"
        raise ModelFileError(
            f"run.json is not one of pluralism fit: {field}: {first['msg']}.", where=str(path), fix=fix
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError("run.json is not valid JSON.", where=str(path), fix=fix) from error


def _refuse_newer(schema_version: int, path: Path) -> None:
    if schema_version > SCHEMA_VERSION:
        raise ModelFileError(
            f"The run has schema {schema_version}; this version of pluralism reads up to {SCHEMA_VERSION}.",
            where=str(path),
            fix="pip install --upgrade pluralism",
        )
