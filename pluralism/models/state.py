"""The saved form of a model: what its learned state is made of, and how it is checked before it is believed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pluralism.files import decode_strings, encode_strings

__all__ = ["StateSpec", "extended", "require_state"]


@dataclass(frozen=True)
class StateSpec:
    """The learned attributes of a model, by kind.

    A saved state is believed only if every piece is there, of its type, finite, and of a size that fits the rest.

    Parameters
    ----------
    arrays : mapping of str to tuple of str
        The extent of each array by axis. A name stands for a number that all arrays must agree on.
    labels : mapping of str to str
        String arrays, and the axis that each names.
    optional : frozenset of str
        Arrays and labels that may be absent (the attribute is None).
    integers : frozenset of str
        Arrays of int64; all others are float64.
    distributions : tuple of str
        Arrays whose last axis sums to one.
    numbers, optional_numbers, counts, flags, names, optional_names : tuple of str
        Floats; floats or None; non-negative integers; booleans; lists of strings; strings or None.
    plain : tuple of str
        JSON values that are only looked at, such as tables of what was tried.
    """

    arrays: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str] = field(default_factory=lambda: {"users_": "users"})
    optional: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset({"n_answers_"})
    distributions: tuple[str, ...] = ("group_weights_", "posterior_")
    numbers: tuple[str, ...] = ("objective_", "gradient_norm_")
    optional_numbers: tuple[str, ...] = ()
    counts: tuple[str, ...] = ("n_iter_",)
    flags: tuple[str, ...] = ("converged_",)
    names: tuple[str, ...] = ()
    optional_names: tuple[str, ...] = ("feature_space_",)
    plain: tuple[str, ...] = ()

    def scalars(self) -> tuple[str, ...]:
        """Attributes that go into the document, `dim_` among them."""
        return (
            "dim_",
            *self.numbers,
            *self.optional_numbers,
            *self.counts,
            *self.flags,
            *self.names,
            *self.optional_names,
            *self.plain,
        )

    def take(self, model: object) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The state of a fitted model as a JSON document and arrays."""
        document = {name: getattr(model, name) for name in self.scalars()}
        arrays = {name: getattr(model, name) for name in self.arrays if getattr(model, name) is not None}
        for name in self.labels:
            if getattr(model, name) is not None:
                arrays |= {f"{name}.{key}": value for key, value in encode_strings(getattr(model, name)).items()}
        return document, {name: np.ascontiguousarray(value) for name, value in arrays.items()}

    def give(self, model: object, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Check a state and set it; returns the extents of its axes.

        Raises
        ------
        ValueError
            Naming the piece that is missing, of another type or size, or out of range.
        KeyError
            If a scalar is missing.
        """
        self._check_scalars(document)
        extents = self._check_arrays(document, arrays)
        found: dict[str, pa.Array | None] = {}
        for name, axis in self.labels.items():
            parts = {key.split(".", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}.")}
            require_state(bool(parts) or name in self.optional, f"the labels {name} are missing")
            found[name] = pa.array(decode_strings(parts), pa.large_string()) if parts else None
            if parts:
                size = len(decode_strings(parts))
                require_state(extents.setdefault(axis, size) == size, f"{name} and the {axis} disagree in number")
        for name in self.scalars():
            setattr(model, name, document[name])
        for name in self.arrays:
            setattr(model, name, arrays.get(name))
        for name, labels in found.items():
            setattr(model, name, labels)
        return extents

    def _check_scalars(self, document: Mapping[str, Any]) -> None:
        for name in self.numbers + self.optional_numbers:
            value = document[name]
            if value is None and name in self.optional_numbers:
                continue
            require_state(isinstance(value, (int, float)) and not isinstance(value, bool), f"{name} is not a number")
        for name in self.counts:
            value = document[name]
            require_state(
                isinstance(value, int) and not isinstance(value, bool) and value >= 0, f"{name} is not a count"
            )
        for name in self.flags:
            require_state(isinstance(document[name], bool), f"{name} is not true or false")
        for name in self.names:
            value = document[name]
            require_state(isinstance(value, list) and all(isinstance(n, str) for n in value), f"{name} are no names")
        for name in self.optional_names:
            require_state(document[name] is None or isinstance(document[name], str), f"{name} is not a name")
        for name in self.plain:
            document[name]

    def _check_arrays(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        extents: dict[str, int] = {}
        if document["dim_"] is not None:
            require_state(isinstance(document["dim_"], int), "dim_ is not a count")
            extents["dim"] = document["dim_"]
        if "covariate_names_" in self.names:
            extents["covariates"] = len(document["covariate_names_"])
        for name, axes in self.arrays.items():
            if name not in arrays:
                require_state(name in self.optional, f"the array {name} is missing")
                continue
            array = arrays[name]
            expected = np.int64 if name in self.integers else np.float64
            require_state(array.dtype == expected, f"the array {name} is of type {array.dtype}")
            require_state(array.ndim == len(axes), f"the array {name} has {array.ndim} axes")
            for axis, size in zip(axes, array.shape, strict=True):
                agrees = extents.setdefault(axis, size) == size
                require_state(agrees, f"the array {name} does not fit the others in {axis}")
            require_state(bool(np.isfinite(array).all()), f"the array {name} is not finite")
        for name in self.distributions:
            if name in arrays:
                array = arrays[name]
                whole = bool(np.all(array >= 0) and np.allclose(array.sum(axis=-1), 1.0))
                require_state(whole, f"{name} are no probabilities")
        return extents


def require_state(holds: bool, what: str) -> None:
    """Refuse a saved state.

    Raises
    ------
    ValueError
        If the condition does not hold.
    """
    if not holds:
        raise ValueError(what)


def extended(
    spec: StateSpec,
    *,
    arrays: Mapping[str, tuple[str, ...]] | None = None,
    optional: Collection[str] = (),
    **more: tuple[str, ...],
) -> StateSpec:
    """A spec with further attributes; keywords as those of `StateSpec`, added to what is there."""
    changes: dict[str, Any] = {name: getattr(spec, name) + values for name, values in more.items()}
    changes |= {"arrays": dict(spec.arrays) | dict(arrays or {}), "optional": spec.optional | set(optional)}
    return replace(spec, **changes)
