"""A study: which interview is held with whom, and what its organisers have settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.content import Identifier, Localised, check_ids
from pluralism.elicitation.interview.protocol import Protocol

__all__ = ["DemographicOption", "DemographicQuestion", "InterviewerKind", "Status", "Study", "StudySettings"]

Status: TypeAlias = Literal["draft", "open", "closed"]
InterviewerKind: TypeAlias = Literal["scripted", "llm"]
Title: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DemographicOption(_Part):
    """One answer to a question about oneself."""

    id: Identifier
    text: Localised


class DemographicQuestion(_Part):
    """A question about oneself, which may be left out; there are no free texts, so that nobody names themselves."""

    id: Identifier
    text: Localised
    options: tuple[DemographicOption, ...] = Field(min_length=2, max_length=50)

    @model_validator(mode="after")
    def _distinct(self) -> DemographicQuestion:
        check_ids(self.options, "options")
        return self


class StudySettings(_Part):
    """What organisers may settle.

    Attributes
    ----------
    interviewer : {"scripted", "llm"}
    count_partial : bool
        Whether the votes of people count whose interview is not done.
    show_graph : bool
        Whether participants see the moral graph after their votes.
    max_participants : int or None
    demographics : tuple of DemographicQuestion
    """

    interviewer: InterviewerKind = "scripted"
    count_partial: bool = False
    show_graph: bool = True
    max_participants: int | None = Field(default=None, ge=1)
    demographics: tuple[DemographicQuestion, ...] = Field(default=(), max_length=30)

    @model_validator(mode="after")
    def _distinct(self) -> StudySettings:
        check_ids(self.demographics, "demographics")
        return self


@dataclass(frozen=True)
class Study:
    """A study as it stands.

    Attributes
    ----------
    id, title : str
    status : {"draft", "open", "closed"}
        Only an open one can be joined; whoever has joined may finish.
    created_at : datetime
    protocol, case : Protocol, Case
        Of those who join now.
    settings : StudySettings
    version : int
        Grows with everything that changes the moral graph.
    """

    id: str
    title: str
    status: Status
    created_at: datetime
    protocol: Protocol
    case: Case
    settings: StudySettings
    version: int

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that protocol and case share."""
        return tuple(language for language in self.protocol.languages if language in self.case.languages)

    @property
    def interviewer(self) -> InterviewerKind:
        """Who interviews."""
        return self.settings.interviewer

    @property
    def count_partial(self) -> bool:
        """Whether the votes of people count whose interview is not done."""
        return self.settings.count_partial

    @property
    def show_graph(self) -> bool:
        """Whether participants see the moral graph after their votes."""
        return self.settings.show_graph

    @property
    def max_participants(self) -> int | None:
        """How many may join; None for any number."""
        return self.settings.max_participants

    @property
    def demographics(self) -> tuple[DemographicQuestion, ...]:
        """What participants are asked about themselves."""
        return self.settings.demographics

    def __repr__(self) -> str:
        return f"Study({self.title!r}, {self.status}, {self.protocol.name!r} on {self.case.name!r})"
