"""Preference models that keep the disagreement: who wants what, and what a model should do about it.

`pluralism` fits preference models that keep the disagreement: who the groups are, what each wants, how sure we
are, and what a new person wants after a few answers. Start with::

    import pluralism as pl

    data = pl.Comparisons.read("votes.parquet").embed("minilm")
    model = pl.models.MixtureBradleyTerry(n_groups="auto", rng=0).fit(data)
    model.group_weights_
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Comparisons": "pluralism.data",
    "Items": "pluralism.data",
    "Rankings": "pluralism.data",
    "Ratings": "pluralism.data",
    "Evaluation": "pluralism.evaluation",
    "evaluate": "pluralism.evaluation",
    "compare": "pluralism.evaluation",
    "load": "pluralism.models",
}
_ROOMS = (
    "calibration",
    "data",
    "diagnostics",
    "discretion",
    "elicitation",
    "embeddings",
    "errors",
    "evaluation",
    "llm",
    "models",
    "policy",
    "progress",
    "reports",
    "social_choice",
    "solvers",
    "testing",
)

__all__ = ["__version__", *_NAMES, *_ROOMS]

if TYPE_CHECKING:
    from pluralism import (
        calibration,
        data,
        diagnostics,
        discretion,
        elicitation,
        embeddings,
        errors,
        evaluation,
        llm,
        models,
        policy,
        progress,
        reports,
        social_choice,
        solvers,
        testing,
    )
    from pluralism.data import Comparisons, Items, Rankings, Ratings
    from pluralism.evaluation import Evaluation, compare, evaluate
    from pluralism.models import load


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"pluralism.{name}")
    raise AttributeError(f"module 'pluralism' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
