"""What a report is about, and what all its parts share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pluralism.reports.palette import group_name
from pluralism.reports.preferences import GroupPreferences

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["Part", "Subject"]

Part = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, the data behind it, and how much to show.

    Attributes
    ----------
    model : PreferenceModel
    data : Comparisons
        What the model was fitted to.
    preferences : GroupPreferences or None
        None where no prompt has two judged items.
    examples : int
        Texts in each list.
    sample : int or None
        Most judgements used where the model is fitted anew or every judgement is looked at.
    n_bootstrap, seed : int
    """

    model: PreferenceModel
    data: Comparisons
    preferences: GroupPreferences | None
    examples: int
    sample: int | None
    n_bootstrap: int
    seed: int

    @property
    def personal(self) -> bool:
        """Whether each person has a reward of their own, around that of a group or of everybody."""
        return self.model.places != "groups"

    @property
    def fitted(self) -> Any:
        """The model, for attributes that not every model has."""
        return self.model

    @cached_property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.fitted.group_weights_)

    @cached_property
    def names(self) -> list[str]:
        """Names of the groups."""
        return [group_name(k) for k in range(self.n_groups)] if self.n_groups > 1 else ["Everyone"]

    @property
    def texts(self) -> str:
        """What the items are called."""
        return "items" if self.data.items.texts is None else "texts"

    def item(self, code: int) -> dict[str, Any]:
        """An item's id, text and prompt; None for what it does not have."""
        items = self.data.items
        text = None if items.texts is None else items.texts[int(code)].as_py()
        prompt = None if items.prompts is None else items.prompts[int(code)].as_py()
        return {
            "id": items.ids[int(code)].as_py(),
            "text": text,
            "prompt": prompt or None,
        }
