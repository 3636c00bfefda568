"""A population's life beside that of its untouched twin: influence, diversity, lock-in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from pluralism.calibration.text import json_ready

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PopulationRun"]


@dataclass(frozen=True, eq=False, repr=False)
class PopulationRun:
    """What became of everybody, with a policy and without it.

    Attributes
    ----------
    users, twin : arrays of shape (periods, users, dim)
        Values of everybody under the policy, and on the same noise without it.
    groups : array of shape (users,)
    actions : array of shape (steps, dim)
        What the policy stood for; NaN where there was none.
    history : array of shape (periods, dim)
        The mean of the groups as they move by themselves.
    """

    users: Float[np.ndarray, "periods users dim"]
    twin: Float[np.ndarray, "periods users dim"]
    groups: Int[np.ndarray, " users"]
    actions: Float[np.ndarray, "steps dim"]
    history: Float[np.ndarray, "periods dim"]

    @property
    def influence(self) -> Float[np.ndarray, " periods"]:
        """Squared distance between the means of population and twin, in each period."""
        return np.square(self.users.mean(axis=1) - self.twin.mean(axis=1)).sum(axis=-1)

    @property
    def diversity(self) -> Float[np.ndarray, " periods"]:
        """Total variance among people, divided by that of the twin; NaN where the twin has none."""
        own, other = (values.var(axis=1).sum(axis=-1) for values in (self.users, self.twin))
        return np.divide(own, other, out=np.full_like(own, np.nan), where=other > 0)

    @property
    def lock_in(self) -> float:
        """1 less the diversity that is left in the last period."""
        return 1.0 - float(self.diversity[-1])

    def group_means(self) -> Float[np.ndarray, "periods groups dim"]:
        """Mean values of each group under the policy."""
        return np.stack(
            [self.users[:, self.groups == g].mean(axis=1) for g in range(int(self.groups.max()) + 1)], axis=1
        )

    def to_frame(self) -> pa.Table:
        """Columns `period, influence, diversity`."""
        import pyarrow as pa

        periods = np.arange(len(self.users))
        return pa.table({"period": periods, "influence": self.influence, "diversity": self.diversity})

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, and `lock_in`, as JSON."""
        document: dict[str, Any] = {"lock_in": self.lock_in, "rows": self.to_frame().to_pylist()}
        return json.dumps(json_ready(document), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        periods, users, dims = self.users.shape
        return (
            f"PopulationRun({users} people, {periods} periods, {dims} dimensions: at the end influence "
            f"{self.influence[-1]:.3g}, diversity {self.diversity[-1]:.3g} of the twin's)"
        )
