"""Load a part of a pretrained model: no code from the model's repository, no pickle, nothing on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pluralism.errors import PluralismError
from pluralism.extras import require

__all__ = ["load_pretrained", "quiet"]


def load_pretrained(
    model: str,
    build: Callable[[Any, dict[str, Any]], Any],
    *,
    revision: str | None,
    error: type[PluralismError],
    purpose: str,
    extra: str = "embed",
) -> Any:
    """Call `build` with the transformers library and the options that every loading has.

    Parameters
    ----------
    model : str
        Name on the hub, or directory.
    build : callable
        Takes the library and the keywords of a ``from_pretrained``.
    revision : str, optional
        Branch, tag or commit of a hub model.
    error : type of PluralismError
        What to raise where the model cannot be loaded.
    purpose : str
        What needs the library, as the subject of a sentence.
    extra : str
        The extra of this package that brings the library.

    Raises
    ------
    MissingExtraError
        transformers is not installed.
    """
    library = require("transformers", extra=extra, purpose=purpose)
    options: dict[str, Any] = {"trust_remote_code": False}
    if revision is not None:
        options["revision"] = revision
    try:
        with quiet(library):
            return build(library, options)
    except (OSError, ValueError, KeyError, RuntimeError) as cause:
        raise error(
            f"The model {model!r} cannot be loaded: {str(cause).strip().splitlines()[0]}",
            fix="Check the name or path. Models that need their own code or have no safetensors weights are not run.",
        ) from cause


@contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Keep loading silent, and put back how it was: a progress bar is the caller's choice."""
    logging = library.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
