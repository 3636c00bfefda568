"""A saved object as a directory: `model.json` for what people read, one array file for the numbers.

The array file is named after its content and written first; `model.json` names it and is replaced last, in one
step. So a kill at any moment leaves the old bundle or the new one, whole, and never a mixture.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pluralism.errors import ModelFileError, StorageError, UsageError
from pluralism.files.arrays import DEFAULT_MAX_BYTES, arrays_to_bytes, load_arrays
from pluralism.files.atomic import atomic_write, remove_abandoned, storage_error
from pluralism.files.digest import file_digest
from pluralism.files.safe_open import open_plain

__all__ = ["DOCUMENT_NAME", "SCHEMA_VERSION", "load_bundle", "save_bundle"]

SCHEMA_VERSION = 1
DOCUMENT_NAME = "model.json"
_MAX_DOCUMENT_BYTES = 64 * 2**20
_ARRAYS_NAME = re.compile(r"arrays-[0-9a-f]{16}\.safetensors")
_OWN_KEYS = ("arrays", "arrays_sha256")
_FIX = "The directory is damaged or not one of ours: get a good copy, or save the object again."


def save_bundle(
    directory: str | os.PathLike[str], document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Save a JSON document and named arrays to a directory, atomically as a pair.

    Parameters
    ----------
    directory : path-like
        Made if it does not exist. A bundle in it is replaced.
    document : mapping
        JSON values under string keys; ``kind`` (str) says what is saved. ``schema_version`` is added.
    arrays : mapping of str to ndarray
        Numbers and booleans.

    Raises
    ------
    UsageError
        The document is not JSON (NaN and infinity have no JSON: store None), or lacks ``kind``.
    StorageError
        Disk full, read-only directory, failing device; an earlier bundle stays whole.
    """
    if not isinstance(document.get("kind"), str) or any(key in document for key in _OWN_KEYS):
        raise UsageError("A bundle's document needs a `kind` (str), and leaves `arrays` and `arrays_sha256` alone.")
    if document.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise UsageError(f"This version writes schema_version {SCHEMA_VERSION} only.")
    content = arrays_to_bytes(arrays)
    digest = hashlib.sha256(content).hexdigest()
    name = f"arrays-{digest[:16]}.safetensors"
    text = _to_json({**document, "schema_version": SCHEMA_VERSION, "arrays": name, "arrays_sha256": digest})
    place = Path(directory)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise storage_error("write", place, cause) from cause
    with _one_writer(place):
        atomic_write(place / name, content)
        atomic_write(place / DOCUMENT_NAME, text)
        for stale in place.glob("arrays-*.safetensors"):
            if stale.name != name and _ARRAYS_NAME.fullmatch(stale.name):
                with suppress(OSError):
                    stale.unlink()
        remove_abandoned(place)


def load_bundle(
    directory: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Load what `save_bundle` wrote; a damaged or hostile directory is refused before anything large is allocated.

    Parameters
    ----------
    directory : path-like
        The bundle.
    max_bytes : int
        Largest array file accepted.

    Returns
    -------
    document : dict
        With ``kind`` and ``schema_version``.
    arrays : dict of str to ndarray
        The arrays.

    Raises
    ------
    ModelFileError
        No bundle, a newer schema, wrong checksum, an array name that leaves the directory, hostile content.
    """
    place = Path(directory)
    for _ in range(8):
        document = _read_document(place)
        name, digest = document.pop("arrays", None), document.pop("arrays_sha256", None)
        if not isinstance(name, str) or not _ARRAYS_NAME.fullmatch(name) or not isinstance(digest, str):
            _refuse("it names no array file of the form arrays-<16 hex digits>.safetensors", place)
        if not digest.startswith(name[7:23]) or len(digest) != 64:
            _refuse("the name of the array file does not belong to its checksum", place)
        try:
            with open_plain(place / name, max_bytes=max_bytes):
                pass
            if file_digest(place / name) != digest:
                _refuse(f"the content of {name} does not match its checksum", place)
            return document, load_arrays(place / name, max_bytes=max_bytes)[0]
        except StorageError as cause:
            # A writer may have replaced the bundle between our two reads: then model.json names another file now.
            if _read_document(place).get("arrays") == name:
                raise ModelFileError(f"Cannot read {name}: {cause.what}", where=str(place), fix=_FIX) from cause
    _refuse("it is being replaced all the time", place)


def _read_document(place: Path) -> dict[str, Any]:
    path = place / DOCUMENT_NAME
    try:
        with open_plain(path, max_bytes=_MAX_DOCUMENT_BYTES) as (stream, size):
            raw = stream.read(size)
    except StorageError as cause:
        raise ModelFileError(
            f"There is no saved model here: {cause.what}", where=str(path), fix="Check the path of the directory."
        ) from cause
    try:
        document = json.loads(raw.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise ModelFileError(f"{DOCUMENT_NAME} is not valid JSON.", where=str(path), fix=_FIX) from cause
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        _refuse(f"{DOCUMENT_NAME} does not say its kind", place)
    version = document.get("schema_version")
    if type(version) is not int or version < 1:
        _refuse(f"schema_version is {version!r}", place)
    if version > SCHEMA_VERSION:
        raise ModelFileError(
            f"This was saved with schema {version}; this version of pluralism reads up to {SCHEMA_VERSION}.",
            where=str(path),
            fix="pip install --upgrade pluralism",
        )
    return document


def _to_json(document: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, np.generic) and not isinstance(value, np.complexfloating):
            return value.item()
        raise TypeError(f"{type(value).__name__} is not a JSON value")

    def check(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, member in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r} of {path} is not a string")
                check(member, f"{path}.{key}")
        elif isinstance(value, list | tuple):
            for index, member in enumerate(value):
                check(member, f"{path}[{index}]")
        elif isinstance(value, float | np.floating) and not math.isfinite(value):
            raise ValueError(f"{path} is {value}, which JSON does not know")

    try:
        check(document, "document")
        text = json.dumps(document, default=plain, allow_nan=False, ensure_ascii=False, indent=1)
        if len(text.encode()) > _MAX_DOCUMENT_BYTES:
            raise ValueError(f"it is longer than {_MAX_DOCUMENT_BYTES} bytes")
    except (TypeError, ValueError) as cause:
        raise UsageError(
            f"The document cannot be saved as JSON: {cause}.",
            fix="Store None in place of NaN or infinity, and put arrays under `arrays`.",
        ) from cause
    return text


def _no_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is not JSON")


def _refuse(why: str, place: Path) -> NoReturn:
    raise ModelFileError(f"Refused to load: {why}.", where=str(place), fix=_FIX)


@contextmanager
def _one_writer(place: Path) -> Iterator[None]:
    """Let writers to one directory take turns, where the system has file locks."""
    try:
        import fcntl
    except ImportError:  # Windows: replacing is atomic there too, but two writers at once are not kept apart
        yield
        return
    try:
        descriptor = os.open(place, os.O_RDONLY)
    except OSError as cause:
        raise storage_error("write", place, cause) from cause
    try:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
