"""Settings, versions, seeds: all that is needed to come to the same report again."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.files import encode_strings
from pluralism.reports.sections.subject import Part, Subject

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["fingerprint", "settings"]

_LIBRARIES = ("pluralism", "numpy", "scipy", "numba", "scikit-learn", "matplotlib")


def settings(subject: Subject, command: str | None) -> Part:
    """What was fitted to what, and the lines that make the report again."""
    fitted, data = subject.fitted, subject.data
    parameters = {
        name: value if value is None or isinstance(value, bool | int | float | str) else repr(value)
        for name, value in fitted.get_params(deep=False).items()
    }
    learned = {
        name: getattr(fitted, name, None)
        for name in ("converged_", "n_iter_", "objective_", "log_likelihood_", "gradient_norm_", "separable_")
    }
    content: dict[str, Any] = {
        "model": type(fitted).__name__,
        "parameters": parameters,
        "learned": {name.rstrip("_"): _plain(value) for name, value in learned.items() if value is not None},
        "tie": getattr(fitted, "tie_", 0.0),
        "features": getattr(fitted, "feature_space_", None),
        "dim": getattr(fitted, "dim_", None),
        "data": {
            "judgements": len(data),
            "people": len(np.unique(data.user)),
            "items": len(np.unique(np.concatenate([data.left, data.right]))),
            "ties": int(np.sum(data.outcome == 0.5)),
            "origin": data.origin,
            "fingerprint": fingerprint(data),
        },
        "report": {
            "seed": subject.seed,
            "bootstrap_draws": subject.n_bootstrap,
            "examples": subject.examples,
            "sample": subject.sample,
        },
        "versions": {"python": platform.python_version()} | _versions(),
        "command": command,
        "code": _code(subject),
    }
    return content, {}


def fingerprint(data: Comparisons) -> str:
    """Sixteen hexadecimal digits that change with any judgement, label, id, text or prompt."""
    digest = hashlib.sha256()
    for column in (data.user, data.left, data.right, data.outcome, data.weight):
        digest.update(np.ascontiguousarray(column).data)
    prompts = None if data.items.prompts is None else data.items.prompts.fill_null("")
    for labels in (data.users, data.items.ids, data.items.texts, prompts):
        if labels is not None:
            for _, part in sorted(encode_strings(labels).items()):
                digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:16]


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _code(subject: Subject) -> str:
    features = getattr(subject.fitted, "feature_space_", None) or ""
    return "\n".join(
        [
            "import pluralism as pl",
            "",
            f"data = ...  # {len(subject.data):,} judgements, fingerprint {fingerprint(subject.data)}"
            + (f", features {' '.join(features.split())}" if features else ""),
            f"model = pl.models.{subject.model!r}.fit(data)",
            f"pl.reports.build_report(model, data, rng={subject.seed}).write('report.html')",
        ]
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
