"""Where each person stands: a posterior over groups, weights on prototypes or a vector, never a bare label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from pluralism.errors import DataError, UsageError
from pluralism.files import atomic_path

__all__ = ["Membership"]

MODEL_KEY, FACTORS_KEY = b"pluralism.model", b"pluralism.factors"


@dataclass(frozen=True, eq=False)
class Membership:
    """Where users stand, with how sure that is.

    Parameters
    ----------
    users : pyarrow.LargeStringArray of shape (users,)
        Unique user labels.
    posterior : float array of shape (users, groups)
        P(user belongs to group), or the posterior mean of the user's weights on prototypes; rows sum to 1. A user
        without answers has the prior.
    n : int array of shape (users,)
        Answers behind each row.
    position : float array of shape (users, factors), optional
        Posterior mean of a vector that describes the user, in models where people differ by degree.
    covariance : float array of shape (users, factors, factors), optional
        Posterior covariance of `position`; without one, of the weights, with factors = groups.
    model : str, optional
        The fitted model that placed them, by its `fingerprint_`: other models refuse these places. A membership made by
        hand has none, and is believed.
    """

    users: pa.Array
    posterior: Float[np.ndarray, "users groups"]
    n: Int[np.ndarray, " users"]
    position: Float[np.ndarray, "users factors"] | None = None
    covariance: Float[np.ndarray, "users factors factors"] | None = None
    model: str | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.posterior.shape[1]

    @cached_property
    def labels(self) -> Int[np.ndarray, " users"]:
        """The most likely group of each user."""
        return np.argmax(self.posterior, axis=1)

    @cached_property
    def certainty(self) -> Float[np.ndarray, " users"]:
        """Probability of the most likely group, in [1 / groups, 1]."""
        return self.posterior.max(axis=1)

    @cached_property
    def entropy(self) -> Float[np.ndarray, " users"]:
        """Entropy of each row in nats, in [0, log groups]."""
        p = self.posterior
        return -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0), axis=1)

    def index(self, users: pa.Array) -> Int[np.ndarray, " rows"]:
        """Rows of the given user labels; -1 where a label is not here."""
        found = pc.index_in(users.cast(self.users.type), value_set=self.users)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def of(self, users: pa.Array | list[str]) -> Float[np.ndarray, "rows groups"]:
        """Posterior rows of the given users.

        Raises
        ------
        UsageError
            If a user is not here.
        """
        labels = users if isinstance(users, pa.Array) else pa.array(users, pa.large_string())
        rows = self.index(labels)
        if (rows < 0).any():
            unknown = labels[int(np.flatnonzero(rows < 0)[0])]
            raise UsageError(
                f"No membership is known for user {unknown.as_py()!r}.",
                fix="Place the user with model.adapt(comparisons) first.",
            )
        return self.posterior[rows]

    def lookup(self, users: pa.Array, otherwise: Membership) -> Membership:
        """The places of `users`, in their order; of those who are not here, that of `otherwise`.

        Parameters
        ----------
        users : pyarrow.LargeStringArray of shape (rows,)
        otherwise : Membership
            Of one row, such as the prior, or of the same users, row by row.
        """
        rows = self.index(users)
        known = rows >= 0

        def choose(name: str) -> Any:
            mine, other = getattr(self, name), getattr(otherwise, name)
            if mine is None or other is None:
                return None
            if mine.shape[1:] != other.shape[1:]:
                raise UsageError(
                    f"The membership has {mine.shape[-1]} factors, the model {other.shape[-1]}.",
                    fix="Use the membership that this model's adapt() returned.",
                )
            shape = (len(users), *mine.shape[1:])
            out = np.array(np.broadcast_to(other, shape))
            out[known] = mine[rows[known]]
            return out

        found = {name: choose(name) for name in ("posterior", "n", "position", "covariance")}
        return Membership(users, **found, model=self.model or otherwise.model)

    def to_frame(self) -> pa.Table:
        """Columns `user, n, group_0, ...`, and `factor_0, ...` with `factor_0_sd, ...` where there are such."""
        columns = {"user": self.users, "n": pa.array(self.n)}
        columns |= {f"group_{k}": pa.array(self.posterior[:, k]) for k in range(self.n_groups)}
        if self.position is not None:
            columns |= {f"factor_{k}": pa.array(column) for k, column in enumerate(self.position.T)}
        if self.covariance is not None:
            name = "group" if self.position is None else "factor"
            deviation = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
            columns |= {f"{name}_{k}_sd": pa.array(column) for k, column in enumerate(deviation.T)}
        return pa.table(columns)

    def to_json(self) -> str:
        """A JSON object with `model`, `users`, `n` and `posterior`, and `position` where there is one."""
        document: dict[str, Any] = {"model": self.model, "users": self.users.to_pylist(), "n": self.n.tolist()}
        document["posterior"] = self.posterior.tolist()
        if self.position is not None:
            document["position"] = self.position.tolist()
        return json.dumps(document, ensure_ascii=False)

    def write(self, path: str | Path) -> None:
        """Write as Parquet, atomically: the columns of `to_frame()`, and all else that `read` needs."""
        import pyarrow.parquet as pq

        table = self.to_frame()
        known = {} if self.model is None else {MODEL_KEY: self.model}
        if self.position is not None:
            known[FACTORS_KEY] = str(self.position.shape[1])
        if self.covariance is not None and self.covariance.shape[1]:
            size = self.covariance.shape[1] ** 2
            flat = pa.FixedSizeListArray.from_arrays(pa.array(self.covariance.ravel()), size)
            table = table.append_column("covariance", flat)
        table = table.replace_schema_metadata(known)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def read(cls, path: str | Path) -> Membership:
        """Read what `write` wrote.

        Raises
        ------
        DataError
            If the file is no membership.
        """
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            known = table.schema.metadata or {}
            posterior, position = _columns(table, "group"), None
            width = posterior.shape[1]
            if FACTORS_KEY in known:
                position = _columns(table, "factor")
                width = position.shape[1]
            covariance = None if width else np.zeros((len(table), 0, 0))
            if "covariance" in table.column_names:
                rows = table["covariance"].combine_chunks().flatten().to_numpy()
                covariance = rows.reshape(len(table), width, width)
            users = table["user"].cast(pa.large_string()).combine_chunks()
            model = known[MODEL_KEY].decode() if MODEL_KEY in known else None
            return cls(users, posterior, table["n"].to_numpy(), position, covariance, model)
        except (OSError, KeyError, ValueError) as cause:
            raise DataError(
                f"The file holds no membership: {cause}.",
                where=str(path),
                fix="Pass a file that Membership.write or `pluralism adapt` wrote.",
            ) from cause

    def __repr__(self) -> str:
        sizes = ", ".join(f"{share:.2f}" for share in self.posterior.mean(axis=0)) if len(self) else "none"
        sure = f"{float(np.mean(self.certainty >= 0.9)):.0%} placed with 90 % certainty" if len(self) else "no users"
        return f"Membership({len(self):,} users, {self.n_groups} groups of shares {sizes}; {sure})"


def _columns(table: pa.Table, name: str) -> Float[np.ndarray, "users _"]:
    """The columns `name_0`, `name_1`, ... side by side."""
    names = [f"{name}_{k}" for k in range(table.num_columns)]
    found = [table[column].to_numpy() for column in names if column in table.column_names]
    return np.stack(found, axis=1) if found else np.zeros((len(table), 0))
