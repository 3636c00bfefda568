"""A policy on finite candidates: a distribution for each prompt beside a reference, and what it brings each group."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.special import logsumexp

from pluralism.calibration.text import format_table, json_ready
from pluralism.data.arrays import frozen
from pluralism.errors import DataError
from pluralism.files import atomic_path
from pluralism.policy.certificate import Certificate
from pluralism.random import RNG, as_generator
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.log_policies import kl_divergence

__all__ = ["FinitePolicy", "kl_divergence"]


@dataclass(frozen=True, eq=False, repr=False)
class FinitePolicy:
    """Probabilities of each prompt's candidates.

    Parameters
    ----------
    log_probs : array of shape (prompts, candidates)
        Log-probabilities, which sum to 1 for each prompt; -inf where a candidate is never chosen or is not there.
    utilities : Utilities
        What the candidates are worth, and the reference policy.
    method : str
        How the policy was made, with its settings.
    certificate : Certificate, optional
        Where the policy solves a problem.
    notes : tuple of str
        What a reader must know, such as that no policy is better than the reference for all groups.

    Examples
    --------
    >>> from pluralism.policy import kl_optimal
    >>> utilities = Utilities.from_matrix([[3.0, 1.0, 0.0], [0.0, 1.5, 2.0]], shares=[0.7, 0.3]).to_unit("gain")
    >>> policy = kl_optimal(utilities, beta=1.0)
    >>> policy.probs.round(3)
    array([[0.621, 0.24 , 0.139]])
    >>> policy.group_utilities.round(3)
    array([ 0.77 , -0.529])
    """

    log_probs: Float[np.ndarray, "prompts candidates"]
    utilities: Utilities
    method: str
    certificate: Certificate | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        logs = np.asarray(self.log_probs, dtype=np.float64)
        if logs.shape != self.utilities.log_reference.shape or np.isnan(logs).any():
            raise DataError(
                f"Log-probabilities have shape {logs.shape}, the candidates {self.utilities.log_reference.shape}.",
                fix="Give one for each prompt and candidate, -inf where there is none.",
            )
        total = logsumexp(logs, axis=1)
        if not np.all(np.abs(total) < 1e-6) or np.any(np.isfinite(logs) & ~self.utilities.mask):
            raise DataError(
                "These are no probabilities of the candidates.",
                where=f"prompt {int(np.argmax(~(np.abs(total) < 1e-6)))}",
                fix="Normalise for each prompt; candidates without reference probability have none.",
            )
        object.__setattr__(self, "log_probs", frozen(logs - total[:, None]))

    @cached_property
    def probs(self) -> Float[np.ndarray, "prompts candidates"]:
        """Probabilities."""
        return frozen(np.exp(self.log_probs))

    @cached_property
    def kl(self) -> Float[np.ndarray, " prompts"]:
        """KL divergence from the reference, in nats, of each prompt."""
        return kl_divergence(self.log_probs, self.utilities.log_reference)

    @property
    def kl_mean(self) -> float:
        """Mean of `kl` over prompts."""
        return float(self.utilities.prompt_weights @ self.kl)

    @cached_property
    def entropy(self) -> Float[np.ndarray, " prompts"]:
        """Entropy in nats, of each prompt."""
        return -np.sum(np.where(self.probs > 0, self.probs * np.maximum(self.log_probs, -1e300), 0.0), axis=1)

    @cached_property
    def group_utilities(self) -> Float[np.ndarray, " groups"]:
        """Mean utility of each group."""
        return self.utilities.expected(self.log_probs)

    @cached_property
    def reference_utilities(self) -> Float[np.ndarray, " groups"]:
        """Mean utility of each group under the reference policy."""
        return self.utilities.expected(self.utilities.log_reference)

    @property
    def worst_group(self) -> str:
        """The group of the lowest mean utility (the first of equals)."""
        return self.utilities.groups[int(np.argmin(self.group_utilities))]

    def best(self) -> Int[np.ndarray, " prompts"]:
        """The place of the most likely candidate of each prompt (the first of equals)."""
        return np.argmax(self.log_probs, axis=1)

    def sample(self, n: int = 1, rng: RNG = None) -> Int[np.ndarray, "prompts n"]:
        """Places of n candidates drawn for each prompt."""
        generator = as_generator(rng, "policy")
        noise = generator.gumbel(size=(n, *self.log_probs.shape))
        return np.argmax(self.log_probs + noise, axis=2).T

    def to_frame(self) -> pa.Table:
        """Columns `prompt, candidate, reference, probability`; one row a candidate."""
        row, place = np.nonzero(self.utilities.mask)
        frame = self.utilities.to_frame().select(["prompt", "candidate", "reference"])
        return frame.append_column("probability", pa.array(self.probs[row, place]))

    def summary(self) -> dict[str, Any]:
        """What the policy brings: group utilities beside the reference's, the worst group, KL and certificate."""
        return json_ready(
            {
                "method": self.method,
                "unit": self.utilities.unit,
                "groups": list(self.utilities.groups),
                "shares": self.utilities.shares,
                "group_utilities": self.group_utilities.tolist(),
                "reference_utilities": self.reference_utilities,
                "worst_group": self.worst_group,
                "kl": self.kl_mean,
                "entropy": float(self.utilities.prompt_weights @ self.entropy),
                "certificate": None if self.certificate is None else self.certificate.to_dict(),
                "notes": list(self.notes),
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`summary` and the rows of `to_frame`, as JSON."""
        return json.dumps(self.summary() | {"rows": self.to_frame().to_pylist()}, ensure_ascii=False, indent=indent)

    def write(self, path: str | Path) -> None:
        """Write `to_frame()` as Parquet, with `summary()` in its metadata, whole or not at all."""
        import pyarrow.parquet as pq

        note = json.dumps(self.summary(), ensure_ascii=False)
        with atomic_path(path) as temporary:
            pq.write_table(
                self.to_frame().replace_schema_metadata({"pluralism.policy": note}), temporary, compression="zstd"
            )

    def __repr__(self) -> str:
        table = format_table(
            {
                "group": list(self.utilities.groups),
                "share": self.utilities.shares.tolist(),
                f"utility ({self.utilities.unit})": self.group_utilities.tolist(),
                "reference": self.reference_utilities.tolist(),
            },
            digits=3,
        )
        n = self.utilities.n_prompts
        head = f"FinitePolicy({self.method}; {n:,} prompt{'s' * (n != 1)}, KL {self.kl_mean:.3g})"
        proof = [] if self.certificate is None else [repr(self.certificate)]
        return "\n".join([head, table, *proof, *self.notes])
