"""Which group each scored row is reported under, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from pluralism.errors import UsageError
from pluralism.evaluation.placement import Placement, likely_groups

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["Grouping", "GroupsArgument", "choose_groups"]

GroupsArgument: TypeAlias = 'Literal["data", "model"] | Mapping[str, str] | None'
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Grouping:
    """Groups of rows; rows of nobody's group have the last code, whose name is "(unknown)".

    Attributes
    ----------
    code : int array of shape (pairs,)
    names : tuple of str
        The groups, without "(unknown)".
    source : str
        Where the groups come from, in words.
    """

    code: Int[np.ndarray, " pairs"]
    names: tuple[str, ...]
    source: str


def choose_groups(
    model: PreferenceModel, scored: Comparisons, placement: Placement, groups: GroupsArgument
) -> Grouping:
    """The grouping asked for; left open, that of the data's `group` column or else the model's own.

    Raises
    ------
    UsageError
        If the data have no groups and are asked for them, or the argument is none that is known.
    """
    if isinstance(groups, Mapping):
        return _by_mapping(scored, groups)
    if groups not in (None, "data", "model"):
        raise UsageError(
            f"groups={groups!r} is not possible.", fix='Pass "data", "model" or a mapping of users to group names.'
        )
    if groups == "data" and scored.groups is None:
        raise UsageError("The comparisons have no group column.", fix='Pass groups="model", or a mapping of users.')
    if groups != "model" and scored.group is not None and scored.groups is not None:
        return _named(scored.group.astype(np.int64), tuple(scored.groups.to_pylist()), "the group column of the data")
    names = tuple(f"group {k}" for k in range(model.n_groups_))
    if len(names) == 1:
        return Grouping(np.zeros(len(scored), dtype=np.int64), names, "the model has one group")
    user_group, _ = likely_groups(model, scored, placement)
    return _named(user_group[scored.user], names, "the model's most likely group of each placed user")


def _by_mapping(scored: Comparisons, groups: Mapping[str, str]) -> Grouping:
    names = tuple(dict.fromkeys(str(name) for name in groups.values()))
    code = {name: k for k, name in enumerate(names)}
    users = scored.users.to_pylist()
    user_group = np.array([code[str(groups[user])] if user in groups else -1 for user in users], np.int64)
    if (user_group[scored.user] < 0).all():
        raise UsageError(
            "None of the scored users is in the groups given.",
            fix=f"Map user labels, such as {users[int(scored.user[0])]!r}, to names of groups.",
        )
    return _named(user_group[scored.user], names, "the groups given")


def _named(code: Int[np.ndarray, " pairs"], names: tuple[str, ...], source: str) -> Grouping:
    return Grouping(np.where(code < 0, len(names), code), names, source)
