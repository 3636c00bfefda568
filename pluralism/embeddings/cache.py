"""A cache of vectors, filed under what they are vectors of; safe against kills, damage and several writers."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64

from pluralism.embeddings.compaction import compact_shards, wants_compaction
from pluralism.embeddings.digests import text_digests
from pluralism.embeddings.shard import SUFFIX, Shard, write_shard
from pluralism.errors import CacheError, ModelFileError, PluralismWarning, StorageError, UsageError
from pluralism.files import atomic_write
from pluralism.files.atomic import remove_abandoned, storage_error

__all__ = ["CacheAnswer", "EmbeddingCache", "default_cache"]

_log = logging.getLogger(__name__)
_RELISTS = 50


@dataclass(frozen=True)
class CacheAnswer:
    """What the cache knows of some texts.

    Attributes
    ----------
    found : bool array, (texts,)
        Which of them it has.
    features : float32 array, (texts, dim), or None
        Their vectors; rows that were not found hold nothing of meaning. None if none was found.
    lengths : int64 array, (texts,)
        Tokens of each text; 0 where unknown.
    """

    found: Bool[np.ndarray, " texts"]
    features: Float32[np.ndarray, "texts dim"] | None
    lengths: Int64[np.ndarray, " texts"]


class EmbeddingCache:
    """Vectors of texts in a directory.

    Vectors are filed under the SHA-256 of their space (encoder, revision, pooling, dtype and so on) and text. Files
    are only ever added, whole; so any number of processes may read and write at once, and a process killed at any
    moment leaves all that it had stored. A damaged file is set aside (renamed to ``*.damaged``) with a warning, and
    its texts count as unknown.

    Parameters
    ----------
    directory : path-like
        Made at the first `put`.
    flush_seconds : float
        `pluralism.embeddings.embed` stores what it has about this often.
    flush_texts : int
        And not later than after this many texts.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> cache = EmbeddingCache(tempfile.mkdtemp())
    >>> cache.put("my encoder", ["a", "b"], np.eye(2, dtype=np.float32))
    >>> answer = cache.get("my encoder", ["b", "c"])
    >>> answer.found, answer.features[0]
    (array([ True, False]), array([0., 1.], dtype=float32))
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, flush_seconds: float = 10.0, flush_texts: int = 65536
    ) -> None:
        if flush_seconds < 0 or flush_texts < 1:
            raise UsageError(f"flush_seconds >= 0 and flush_texts >= 1 are needed, not {flush_seconds}, {flush_texts}.")
        self.directory = Path(directory)
        self.flush_seconds = flush_seconds
        self.flush_texts = flush_texts
        self._shards: dict[str, dict[str, Shard]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.directory)!r})"

    def get(self, space: str, texts: Sequence[str]) -> CacheAnswer:
        """Look texts up.

        Parameters
        ----------
        space : str
            `Encoder.space`.
        texts : sequence of str
            Texts; they may repeat.

        Raises
        ------
        CacheError
            The directory is there and cannot be read.
        """
        found = np.zeros(len(texts), bool)
        lengths = np.zeros(len(texts), np.int64)
        shards = self._refresh(space)
        if not shards or not len(texts):
            return CacheAnswer(found, None, lengths)
        digests = text_digests(space, texts)
        features = np.empty((len(texts), shards[0].dim), np.float32)
        # In about the order of the shards, so that they are read from front to back; sixteen bits sort fastest.
        missing = np.argsort((digests[:, 0] >> np.uint64(48)).astype(np.uint16), kind="stable")
        for shard in shards:
            rows = shard.find(digests, missing)
            known = rows >= 0
            slots, rows = missing[known], rows[known]
            if not len(slots) or not self._usable(space, shard, features.shape[1], rows, slots, features):
                continue
            found[slots] = True
            lengths[slots] = shard.lengths[rows]
            missing = missing[~known]
            if not len(missing):
                break
        return CacheAnswer(found, features if found.any() else None, lengths)

    def put(
        self,
        space: str,
        texts: Sequence[str],
        features: Float[np.ndarray, "texts dim"],
        lengths: Int[np.ndarray, " texts"] | None = None,
    ) -> None:
        """Store vectors; when this returns they are on disk.

        Parameters
        ----------
        space : str
            `Encoder.space`.
        texts : sequence of str
            Texts.
        features : array, (texts, dim)
            float32 or float16; they are kept as they are.
        lengths : int array, optional
            Tokens of each text.

        Raises
        ------
        UsageError
            Another dtype or shape, or values that are not finite.
        CacheError
            Disk full, read-only directory, failing device; what was stored before is intact.
        """
        if features.ndim != 2 or len(features) != len(texts) or features.dtype not in (np.float32, np.float16):
            raise UsageError(
                f"float32 or float16 features of shape ({len(texts)}, dim) can be cached, not {features.dtype} "
                f"{features.shape}."
            )
        if not np.isfinite(features).all():
            raise UsageError("Features with NaN or infinity are not cached.", fix="Mend the encoder.")
        if not len(texts):
            return
        place = self._writable(space)
        counts = np.zeros(len(texts), np.int64) if lengths is None else lengths
        try:
            write_shard(place, space, text_digests(space, texts), features, counts)
        except StorageError as cause:
            raise _failed("written", cause) from cause
        if wants_compaction(place):
            try:
                self.compact(space)
            except CacheError as cause:
                # The vectors are stored; only the tidying failed, and it is tried again at the next put.
                _log.warning("The small files of the embedding cache were not merged. %s", cause)

    def check_writable(self, space: str) -> None:
        """Raise `CacheError` now if vectors could not be stored later."""
        probe = self._writable(space) / f".probe-{os.getpid()}"
        try:
            atomic_write(probe, b"")
            probe.unlink()
        except OSError as cause:
            known = cause if isinstance(cause, StorageError) else storage_error("write", probe, cause)
            raise _failed("written", known) from cause

    def compact(self, space: str) -> None:
        """Merge small files into one; other processes may read and write meanwhile.

        Raises
        ------
        CacheError
            Disk full, read-only directory, failing device; the small files are kept then.
        """
        try:
            for damaged in compact_shards(self._place(space), space, self._refresh(space)):
                self._set_aside(space, damaged, "A vector does not match its checksum.")
        except StorageError as cause:
            raise _failed("written", cause) from cause

    def count(self, space: str) -> int:
        """Number of vectors of a space; a text that two writers stored at once counts twice until compaction."""
        return sum(map(len, self._refresh(space)))

    def _place(self, space: str) -> Path:
        return self.directory / hashlib.sha256(space.encode()).hexdigest()[:24]

    def _writable(self, space: str) -> Path:
        place = self._place(space)
        try:
            if not place.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                atomic_write(place / "space.txt", f"{space}\n")
            remove_abandoned(place)
        except OSError as cause:
            known = cause if isinstance(cause, StorageError) else storage_error("write", place, cause)
            raise _failed("written", known) from cause
        return place

    def _refresh(self, space: str) -> list[Shard]:
        """Open the shards that are there now, the largest first."""
        place = self._place(space)
        with self._lock:
            known = self._shards.setdefault(space, {})
            for _ in range(_RELISTS):
                names = _list_shards(place)
                for gone in known.keys() - names:
                    del known[gone]
                damaged = []
                for name in names - known.keys():
                    try:
                        known[name] = Shard(place / name, space)
                    except ModelFileError as cause:
                        damaged.append((name, cause.what))
                    except StorageError as cause:
                        if cause.errno == 2 or not (place / name).exists():
                            break  # merged into another shard since it was listed: list again
                        raise _failed("read", cause) from cause
                else:
                    break
        for name, what in damaged:
            self._set_aside(space, place / name, what)
        return sorted(known.values(), key=lambda shard: (-len(shard), shard.path.name))

    def _usable(
        self,
        space: str,
        shard: Shard,
        dim: int,
        rows: Int64[np.ndarray, " found"],
        slots: Int64[np.ndarray, " found"],
        out: Float32[np.ndarray, "texts dim"],
    ) -> bool:
        if shard.dim != dim:
            self._set_aside(space, shard.path, f"Its vectors have length {shard.dim}, those beside it {dim}.")
        elif not shard.read(rows, slots, out):
            self._set_aside(space, shard.path, "A vector does not match its checksum.")
        else:
            return True
        return False

    def _set_aside(self, space: str, path: Path, why: str) -> None:
        with self._lock:
            self._shards.get(space, {}).pop(path.name, None)
        try:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        except FileNotFoundError:
            return  # another process was first
        except OSError:
            # A read-only cache: the file stays, and is passed over each time.
            outcome = "It cannot be renamed, and is passed over"
        else:
            outcome = "It was renamed to *.damaged"
        warnings.warn(
            f"A file of the embedding cache is damaged: {path}. {why} {outcome}; its texts are embedded again.",
            PluralismWarning,
            stacklevel=2,
        )


def default_cache() -> Path:
    """Where vectors are kept when nothing else is said: ``$PLURALISM_CACHE``, or the cache folder of the platform."""
    if named := os.environ.get("PLURALISM_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pluralism" / "embeddings"


def _list_shards(place: Path) -> set[str]:
    """Names of all shards; listed until two lists agree, since a list taken during a merge may miss both sides."""
    before: set[str] | None = None
    while True:
        try:
            names = {name for name in os.listdir(place) if name.endswith(SUFFIX) and not name.startswith(".")}
        except FileNotFoundError:
            return set()
        except OSError as cause:
            raise _failed("read", storage_error("read", place, cause)) from cause
        if names == before:
            return names
        before = names


def _failed(action: str, cause: StorageError) -> CacheError:
    remedy = f"{cause.fix} Or choose another cache directory." if cause.fix else "Choose another cache directory."
    return CacheError(f"The embedding cache cannot be {action}: {cause.what}", where=cause.where, fix=remedy)
