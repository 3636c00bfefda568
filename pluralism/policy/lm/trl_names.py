"""The only place that knows where TRL keeps its experimental names: they move between minor versions."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from pluralism.errors import MissingExtraError
from pluralism.extras import require

__all__ = ["EXPERIMENTAL", "TRL_VERSION", "trl_name"]

TRL_VERSION = "1.16"
"""The minor version that the names below belong to, as `pyproject.toml` pins it."""

EXPERIMENTAL: dict[str, str] = {"GKDConfig": "gkd", "GKDTrainer": "gkd"}
"""Module of each name in `trl.experimental` that recipes use."""


def trl_name(name: str) -> Any:
    """A class or function of TRL, wherever this version keeps it.

    Raises
    ------
    MissingExtraError
        TRL is not installed, or is another version that does not have the name.
    """
    trl = require("trl", extra="lm", purpose=name)
    place = EXPERIMENTAL.get(name)
    try:
        if place is None:
            return getattr(trl, name)
        with warnings.catch_warnings():
            # That it is experimental is what the pin is for.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", UserWarning)
            return getattr(importlib.import_module(f"trl.experimental.{place}"), name)
    except (AttributeError, ModuleNotFoundError) as cause:
        raise MissingExtraError(
            f"TRL {trl.__version__} has no {name} where TRL {TRL_VERSION} has it.",
            fix=f"pip install 'trl~={TRL_VERSION}.0'",
        ) from cause
