"""Tasks from names and keywords, as environments and the command line are given them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pluralism.errors import UsageError
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.items_in_words import worded_items
from pluralism.progress.simulated_drift import PRESETS, SimulatedDrift
from pluralism.progress.task import Task
from pluralism.progress.value_process import ValueProcess

__all__ = ["KINDS", "PROCESS_GROUP", "process_of", "task_of"]

KINDS = {"Follow-v0": "follow", "Predict-v0": "predict", "Coevolve-v0": "coevolve"}
PROCESS_GROUP = "pluralism.value_processes"


@cache
def _outside_processes() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=PROCESS_GROUP)}


def process_of(process: Any, *, n_periods: int | None = None, dims: int | None = None) -> ValueProcess:
    """A value process from the name of a preset, or of one that another package registers, or as it is.

    Raises
    ------
    UsageError
        If the name is unknown, or what is given is no process.
    """
    changes = {name: value for name, value in (("n_periods", n_periods), ("dims", dims)) if value is not None}
    if isinstance(process, str):
        if process in PRESETS:
            return SimulatedDrift.preset(process, **changes)
        if process in _outside_processes():
            return _outside_process(process, changes)
        known = sorted([*PRESETS, *_outside_processes()])
        raise UsageError(f"There is no value process {process!r}.", fix=f"Use one of {', '.join(known)}.")
    if not isinstance(process, ValueProcess):
        raise UsageError(
            f"{type(process).__name__} is no value process.", fix="Give a preset's name, or an object with paths()."
        )
    if changes:
        raise UsageError(
            f"{', '.join(changes)} belong to the process that is given.", fix="Set them when the process is made."
        )
    return process


def _outside_process(name: str, changes: dict[str, int]) -> ValueProcess:
    point = _outside_processes()[name]
    try:
        made = point.load()(**changes)
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(
            f"The value process {name!r} of another package cannot be made: {error}.",
            where=f"entry point {point.value!r}",
            fix="Mend that package; it is called with n_periods and dims, where these are given.",
        ) from error
    if isinstance(made, str):
        raise UsageError(f"The value process {name!r} gives a text.", fix="It must give an object with paths().")
    return process_of(made)


def task_of(
    kind: str | Task,
    process: Any = "damped_trend",
    *,
    n_periods: int | None = None,
    dims: int | None = None,
    **settings: Any,
) -> Task:
    """A task from the name of its kind ("follow", or "Follow-v0"), its process and the settings of `Task`.

    On a command line `survey_noise` may be "none", `epochs` a list, and `items` "worded": questions in words, with the
    names of the dimensions where the process has them.

    Raises
    ------
    UsageError
        If a setting does not exist, or settings come with a task that is made already.
    """
    if isinstance(kind, Task):
        if settings or n_periods is not None or dims is not None:
            raise UsageError("A task has its settings already.", fix="Change them with dataclasses.replace(task, ...).")
        return kind
    if not isinstance(kind, str):
        raise UsageError(f"{kind!r} is no task.", fix='Use "follow", "predict" or "coevolve", or a Task.')
    unknown = [name for name in settings if name not in Task.__dataclass_fields__]
    if unknown:
        known = ", ".join(name for name in Task.__dataclass_fields__ if name not in ("kind", "process"))
        raise UsageError(f"There is no setting {unknown[0]!r}.", fix=f"Use some of {known}.")
    if settings.get("survey_noise") == "none":
        settings["survey_noise"] = None
    if isinstance(settings.get("epochs"), list):
        settings["epochs"] = tuple(settings["epochs"])
    made = process_of(process, n_periods=n_periods, dims=dims)
    if isinstance(settings.get("items"), str):
        settings["items"] = _items(settings["items"], made)
    name: Any = KINDS.get(kind.removeprefix("pluralism/"), kind)
    return Task(kind=name, process=made, **settings)


def _items(name: str, process: ValueProcess) -> ItemBank:
    if name != "worded":
        raise UsageError(f"There are no items {name!r}.", fix='Use "worded", or an ItemBank.')
    said = getattr(process, "dim_names", None) or [f"value{k + 1}" for k in range(process.dims)]
    return worded_items([str(each).replace(" ", "_") for each in said])
