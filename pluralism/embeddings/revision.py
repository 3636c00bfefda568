"""Which weights these are: the commit of a hub model, the content of a local one."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from pluralism.errors import EncoderError
from pluralism.extras import require
from pluralism.files import file_digest

__all__ = ["directory_revision", "hub_revision"]

_PARTS = {".safetensors", ".json", ".txt", ".model", ".jinja"}


def directory_revision(directory: Path) -> str:
    """Digest of the weights, configuration and tokenizer in a local model directory, 16 hex digits.

    Read in full, so that weights which were trained further in place never share vectors with the old ones.
    """
    files = sorted(path for path in directory.rglob("*") if path.suffix in _PARTS and path.is_file())
    state = hashlib.sha256()
    for path in files:
        status = path.stat()
        content = _digest_of(path, status.st_size, status.st_mtime_ns)
        state.update(f"{path.relative_to(directory).as_posix()}\0{content}\0".encode())
    return state.hexdigest()[:16]


@functools.lru_cache(maxsize=1024)
def _digest_of(path: Path, size: int, modified_ns: int) -> str:
    return file_digest(path)


def hub_revision(model: str, revision: str | None) -> str:
    """Commit of a hub model, from the hub or from its local cache when offline.

    Raises
    ------
    EncoderError
        No such model, or no way to reach it.
    MissingExtraError
        The client is not installed.
    """
    hub = require("huggingface_hub", extra="embed", purpose=f"The model {model!r}")
    try:
        path = Path(hub.hf_hub_download(model, "config.json", revision=revision))
    except (OSError, ValueError) as cause:
        raise EncoderError(
            f"The model {model!r} was found neither here nor on the hub ({type(cause).__name__}).",
            where=f"revision {revision}" if revision else None,
            fix="Check the name and the network, or give the path of a local model directory.",
        ) from cause
    return path.parent.name
