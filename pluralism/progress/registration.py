"""The environments under Gymnasium's names.

Gymnasium imports a module that is named before an id, and this one registers when it is imported::

    gymnasium.make("pluralism.progress.registration:pluralism/Follow-v0")

After that, or after `register_environments()`, `gymnasium.make("pluralism/Follow-v0")` is enough.
"""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

from pluralism.progress.task_settings import KINDS

__all__ = ["register_environments"]


def register_environments() -> None:
    """Register pluralism/Follow-v0, Predict-v0 and Coevolve-v0; those that are registered already stay."""
    for name, kind in KINDS.items():
        if f"pluralism/{name}" not in registry:
            register(
                id=f"pluralism/{name}",
                entry_point="pluralism.progress.environment:TemporalEnv",
                vector_entry_point="pluralism.progress.vector_environment:TemporalVectorEnv",
                kwargs={"kind": kind},
            )


register_environments()
