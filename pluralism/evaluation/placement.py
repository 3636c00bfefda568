"""Where the users of scored rows stand: known from training, placed by support answers, or nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.data.labels import label_codes
from pluralism.evaluation.leaks import refuse_shared_rows

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import Membership, PreferenceModel

__all__ = ["Placement", "drop_weightless", "likely_groups", "place_users"]


@dataclass(frozen=True)
class Placement:
    """How each user in the vocabulary of the scored rows is placed.

    Attributes
    ----------
    seen, supported : bool arrays of shape (users,)
        Known from training; placed by support answers. All others have the population prior.
    membership : Membership or None
        Of the supported users, from `adapt`.
    """

    seen: Bool[np.ndarray, " users"]
    supported: Bool[np.ndarray, " users"]
    membership: Membership | None

    def counts(self, user: Int[np.ndarray, " pairs"]) -> tuple[int, int, int]:
        """Number of seen, supported and prior users among those with rows."""
        present = np.unique(user)
        seen, supported = int(self.seen[present].sum()), int(self.supported[present].sum())
        return seen, supported, len(present) - seen - supported


def place_users(model: PreferenceModel, scored: Comparisons, support: Comparisons | None) -> Placement:
    """Place users by training or by support, never by the rows that are scored.

    Users of the training data keep their training membership, whatever `support` says of them.

    Raises
    ------
    DataError
        If `support` holds a scored row.
    """
    seen = label_codes(scored.users, model.users_) >= 0
    supported = np.zeros(scored.n_users, dtype=bool)
    if support is None:
        return Placement(seen, supported, None)
    support = drop_weightless(support)
    refuse_shared_rows(scored, support, "support")
    wanted = np.zeros(scored.n_users, dtype=bool)
    wanted[scored.user] = True
    code = label_codes(support.users, scored.users)
    useful = (code >= 0) & (wanted & ~seen)[code]
    rows = useful[support.user]
    if not rows.any():
        return Placement(seen, supported, None)
    membership = model.adapt(support.take(rows).compact())
    supported[label_codes(membership.users, scored.users)] = True
    return Placement(seen, supported, membership)


def likely_groups(
    model: PreferenceModel, scored: Comparisons, placement: Placement
) -> tuple[Int[np.ndarray, " users"], Float[np.ndarray, " users"]]:
    """Most likely group of each user in the vocabulary and its probability; -1 and NaN where only the prior speaks."""
    group, certainty = np.full(scored.n_users, -1), np.full(scored.n_users, np.nan)
    for chosen, membership in ((placement.seen, model.membership()), (placement.supported, placement.membership)):
        if membership is not None and chosen.any():
            rows = membership.index(scored.users.take(pa.array(np.flatnonzero(chosen))))
            group[chosen], certainty[chosen] = membership.labels[rows], membership.certainty[rows]
    return group, certainty


def drop_weightless(comparisons: Comparisons) -> Comparisons:
    """The rows that count."""
    return comparisons if np.all(comparisons.weight > 0) else comparisons.take(comparisons.weight > 0)
