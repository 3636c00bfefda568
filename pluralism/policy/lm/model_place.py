"""Where a language model is: a folder that holds one, or a name on the hub."""

from __future__ import annotations

from pathlib import Path

from pluralism.errors import LanguageModelError

__all__ = ["check_place"]


def check_place(model: str | Path) -> None:
    """Refuse what is no folder of a model and no name on the hub, before anything is loaded.

    Raises
    ------
    LanguageModelError
    """
    source, path = str(model), Path(model)
    if path.is_file():
        raise LanguageModelError(f"{source!r} is a file, and a model is a folder.", fix="Give its folder.")
    if not path.is_dir():
        if path.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1:
            raise LanguageModelError(f"There is no folder {source!r}.", fix="Check the path to the model.")
        return
    if (path / "config.json").exists():
        return
    if (path / "adapter_config.json").exists():
        raise LanguageModelError(
            f"{source!r} holds an adapter, not a model.",
            fix="Pass its base as `model`, and this folder as `adapter`.",
        )
    raise LanguageModelError(
        f"The folder {source!r} holds no model: it has no config.json.", fix="Check the path to the model."
    )
