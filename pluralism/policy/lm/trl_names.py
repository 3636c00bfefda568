"""The only place that knows where TRL keeps its experimental names: they move between minor versions."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from pluralism.errors import MissingExtraError
from pluralism.extras import require

__all__ = ["DROPPED", "EXPERIMENTAL", "TRL_VERSION", "trl_name"]

TRL_VERSION = "1.16"
"""The minor version that the names below belong to, as `pyproject.toml` pins it."""

EXPERIMENTAL: dict[str, str] = {"GKDConfig": "gkd", "GKDTrainer": "gkd"}
"""Module of each name in `trl.experimental` that recipes use."""

DROPPED: dict[str, str] = {
    "NashMDTrainer": "Rounds of SoftSPPO, each from the last one's model, play the same game by multiplied weights.",
}
"""Names that earlier versions had in `trl.experimental` and this one has not, with what serves in their place."""

_NEEDED = ("transformers", "accelerate", "datasets")


def trl_name(name: str) -> Any:
    """A class or function of TRL, wherever this version keeps it.

    Raises
    ------
    MissingExtraError
        TRL is not installed, or is another version that does not have the name.
    """
    trl = require("trl", extra="lm", purpose=name)
    for part in _NEEDED:
        # TRL would say something else of them.
        require(part, extra="lm", purpose=name)
    if name in DROPPED:
        raise MissingExtraError(
            f"TRL {trl.__version__} has no {name}: it was dropped from trl.experimental before TRL {TRL_VERSION}.",
            fix=DROPPED[name],
        )
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
