"""Fitted preference models as annotators: as a whole, by group, or for the person of each row."""

from __future__ import annotations

from typing import Literal

from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.errors import UsageError
from pluralism.models import PreferenceModel
from pluralism.models.membership import Membership

__all__ = ["model_verdicts"]


def model_verdicts(
    model: PreferenceModel,
    comparisons: Comparisons,
    *,
    of: Literal["all", "groups", "users"] = "all",
    membership: Membership | None = None,
    name: str = "model",
) -> list[Verdicts]:
    """Verdicts of a fitted model.

    Parameters
    ----------
    model : PreferenceModel
        Fitted.
    comparisons : Comparisons
        With features where the model uses them.
    of : {"all", "groups", "users"}
        One annotator, with the share of all people who prefer left; one for each of the model's groups, named
        ``NAME:0``, ``NAME:1``, ... with their sizes as shares; or one that answers as the user of each row would.
    membership : Membership, optional
        With ``of="users"``: where users stand, from `model.adapt`.
    name : str

    Raises
    ------
    NotFittedError
        If the model has not been fitted.
    UsageError
        If `of` is none of the three.
    """
    if of not in ("all", "groups", "users"):
        raise UsageError(f"of={of!r} is not possible.", fix='Use of="all", "groups" or "users".')
    if of == "users":
        return [Verdicts(name, model.predict_proba(comparisons, membership=membership))]
    by_group = model.predict_group_proba(comparisons)
    if of == "all":
        return [Verdicts(name, (by_group @ model.group_weights_).clip(0.0, 1.0))]
    shares = model.group_weights_
    return [Verdicts(f"{name}:{k}", by_group[:, k], share=float(share)) for k, share in enumerate(shares)]
