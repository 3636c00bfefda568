"""What every fit of a linear model to comparisons begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pluralism.models.base import Callback
from pluralism.models.diagnosis import refuse_separable
from pluralism.models.fitting import Memory, check_settings
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.preparation import Prepared, prepare
from pluralism.random import as_seed
from pluralism.solvers import suitable_threads

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["opened"]


@contextmanager
def opened(
    model: LinearPreferenceModel,
    comparisons: Comparisons,
    checkpoint: str | Path | None,
    callback: Callback | None,
) -> Iterator[tuple[Prepared, Memory, int]]:
    """Check the model's settings, forget its earlier fit, and hold threads as the data want them.

    Gives the prepared data, the memory of pieces that are finished, and the seed.

    Raises
    ------
    UsageError
        If a setting cannot work.
    SeparationError
        If there is no prior and the data have no finite fit.
    """
    model._forget()
    check_settings(model)
    model._check_own_settings()
    use_features = getattr(model, "use_features", True)
    prepared = prepare(comparisons, model.covariates, position_bias=model.position_bias, use_features=use_features)
    if model.ridge == 0:
        refuse_separable(prepared)
    seed = as_seed(model.rng)
    memory = Memory(checkpoint, f"{type(model).__name__}/{seed}/{model!r}", prepared, callback)
    with suitable_threads(prepared.problem):
        yield prepared, memory, seed
