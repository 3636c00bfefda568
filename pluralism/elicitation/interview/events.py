"""What happens in an interview, as events that are only ever added: the interview is the fold of its events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt, TypeAdapter, ValidationError

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.interview.protocol import Limits
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import DataError
from pluralism.llm import Usage

__all__ = ["Body", "Event", "Source", "Verdict", "VoteAnswer"]


Verdict: TypeAlias = Literal["same", "different", "not_sure"]
VoteAnswer: TypeAlias = Literal["upgrade", "no_upgrade", "not_sure"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a text comes from.

    Attributes
    ----------
    by : str
        Such as "scripted", "participant", or the name of a model.
    prompt : str
        SHA-256 of what a model was asked; empty where none was.
    calls, prompt_tokens, completion_tokens : int
    """

    by: str
    prompt: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return Usage(self.calls, self.prompt_tokens, self.completion_tokens)


class CardText(_Part):
    """The texts of a card."""

    title: str
    description: str
    policies: tuple[str, ...]
    context: str | None = None

    @classmethod
    def of(cls, card: ValuesCard) -> CardText:
        """The texts of a card."""
        return cls(title=card.title, description=card.description, policies=card.policies, context=card.context)

    def card(self) -> ValuesCard:
        """The card."""
        return ValuesCard(self.title, self.description, self.policies, self.context)


class Proposal(_Part):
    """A card of somebody else's that may be the same as the participant's."""

    card_id: str
    card: CardText
    similarity: float


class BallotItem(_Part):
    """One question of the ballot: is `wiser` wiser than `source`, in a context, by this story?"""

    source_id: str
    wiser_id: str
    source: CardText
    wiser: CardText
    context: str
    story: str
    story_source: Source
    reason: str

    def hypothesis(self) -> UpgradeHypothesis:
        """What is asked, as a moral graph keeps it."""
        return UpgradeHypothesis(self.source_id, self.wiser_id, self.context, self.story, self.story_source.by)


class _Body(_Part):
    """Content of an event; `actor` is who causes it."""

    actor: ClassVar[Literal["participant", "system"]] = "participant"


class Started(_Body):
    """An interview exists; everything that decides its course is copied here."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["started"] = "started"
    schema_version: Literal[1] = 1
    session: str
    participant: str
    protocol: str
    protocol_digest: str
    case: str
    case_digest: str
    language: str
    interviewer: str
    limits: Limits
    required_scopes: tuple[str, ...]
    optional_scopes: tuple[str, ...]
    contexts: tuple[str, ...]
    survey: tuple[tuple[str, Literal["scale", "text"]], ...]
    seed: int


class Consented(_Body):
    """The participant consents to these scopes of this version of the consent."""

    kind: Literal["consented"] = "consented"
    version: str
    scopes: tuple[str, ...]


class ContextChosen(_Body):
    """The participant says which context they want to speak about."""

    kind: Literal["context_chosen"] = "context_chosen"
    context: str
    text: str


class Asked(_Body):
    """The interviewer asks."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["asked"] = "asked"
    turn: int
    stage: str
    text: str
    source: Source


class Answered(_Body):
    """The participant answers."""

    kind: Literal["answered"] = "answered"
    turn: int
    text: str


class Guessed(_Body):
    """What the interviewer takes the participant to attend to so far; the participant does not see it."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["guessed"] = "guessed"
    turn: int
    policies: tuple[str, ...]
    ready: bool
    source: Source


class FellBack(_Body):
    """A language model failed, and the scripted interviewer goes on; `reason` is the code of the error."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["fell_back"] = "fell_back"
    task: Literal["question", "guess", "card", "duplicates", "story"]
    reason: str


class CardRequested(_Body):
    """The participant wants to see the card now."""

    kind: Literal["card_requested"] = "card_requested"


class CardDrafted(_Body):
    """A version of the card: drafted for the participant, or written by them.

    An empty list of policies means that only a form can be shown.
    """

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["card_drafted"] = "card_drafted"
    version: int
    card: CardText
    source: Source


class CardEdited(_Body):
    """The participant writes a version of the card."""

    kind: Literal["card_edited"] = "card_edited"
    version: int
    card: CardText


class RevisionAsked(_Body):
    """The participant says in words what to change."""

    kind: Literal["revision_asked"] = "revision_asked"
    version: int
    text: str


class CardConfirmed(_Body):
    """The participant says that this version is theirs."""

    kind: Literal["card_confirmed"] = "card_confirmed"
    version: int


class DuplicatesProposed(_Body):
    """Cards of others that may be the same."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["duplicates_proposed"] = "duplicates_proposed"
    proposals: tuple[Proposal, ...]
    source: Source


class DuplicateJudged(_Body):
    """The participant judges one proposal, seeing both cards."""

    kind: Literal["duplicate_judged"] = "duplicate_judged"
    card_id: str
    verdict: Verdict


class BallotDrawn(_Body):
    """What the participant will be asked, as it will be shown."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["ballot_drawn"] = "ballot_drawn"
    items: tuple[BallotItem, ...]


class Voted(_Body):
    """The participant votes on one item; a later vote on it replaces an earlier one, and both stay here."""

    kind: Literal["voted"] = "voted"
    item: int
    answer: VoteAnswer
    comment: str = ""


class SurveyAnswered(_Body):
    """The participant answers the exit survey."""

    kind: Literal["survey_answered"] = "survey_answered"
    answers: dict[str, StrictInt | str]


class Paused(_Body):
    """The participant leaves for now."""

    kind: Literal["paused"] = "paused"


class Resumed(_Body):
    """The participant is back."""

    kind: Literal["resumed"] = "resumed"


class Withdrawn(_Body):
    """The participant withdraws; what they said is erased."""

    kind: Literal["withdrawn"] = "withdrawn"


class Expired(_Body):
    """Nothing came from the participant for too long."""

    actor: ClassVar[Literal["participant", "system"]] = "system"
    kind: Literal["expired"] = "expired"


Body: TypeAlias = (
    Started
    | Consented
    | ContextChosen
    | Asked
    | Answered
    | Guessed
    | FellBack
    | CardRequested
    | CardDrafted
    | CardEdited
    | RevisionAsked
    | CardConfirmed
    | DuplicatesProposed
    | DuplicateJudged
    | BallotDrawn
    | Voted
    | SurveyAnswered
    | Paused
    | Resumed
    | Withdrawn
    | Expired
)
_BODY: TypeAdapter[Body] = TypeAdapter(Annotated[Body, Field(discriminator="kind")])


@dataclass(frozen=True, repr=False)
class Event:
    """Something that happened; its `repr` does not show what was said.

    Attributes
    ----------
    seq : int
        0, 1, 2, ...
    at : datetime
        In UTC, by the clock of the server; never before that of the event before.
    body : Body
    key : str, optional
        By which the sender knows it: sent again under the same key, it is recorded once.
    """

    seq: int
    at: datetime
    body: Body
    key: str | None = None

    @property
    def kind(self) -> str:
        """What happened."""
        return self.body.kind

    @property
    def usage(self) -> Usage:
        """What language models were asked for in it."""
        if isinstance(self.body, BallotDrawn):
            return sum((item.story_source.usage for item in self.body.items), Usage())
        source = getattr(self.body, "source", None)
        return source.usage if isinstance(source, Source) else Usage()

    def __repr__(self) -> str:
        return f"Event({self.seq}, {self.kind})"

    def to_json(self) -> str:
        """The event on one line."""
        document = {"seq": self.seq, "at": self.at.isoformat(), "key": self.key}
        return json.dumps(document | self.body.model_dump(mode="json"), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Event:
        """Inverse of `to_json`.

        Raises
        ------
        DataError
            It is no event of a version that is known.
        """
        try:
            document = json.loads(line)
            if not isinstance(document, Mapping):
                raise ValueError("not an object")
            fields: dict[str, Any] = dict(document)
            seq, at, key = fields.pop("seq"), datetime.fromisoformat(fields.pop("at")), fields.pop("key")
            if not isinstance(seq, int) or not isinstance(key, str | None) or at.tzinfo is None:
                raise ValueError("seq, at or key is of the wrong kind")
            return cls(seq, at, _BODY.validate_python(fields), key)
        except ValidationError as error:
            known = ", ".join(".".join(str(part)[:40] for part in entry["loc"]) for entry in error.errors()[:3])
            raise _unreadable(f"wrong or unknown fields ({known})") from None
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _unreadable(type(error).__name__) from None


def _unreadable(why: str) -> DataError:
    return DataError(
        f"This is no event of an interview: {why}.",
        fix="Was the file written by a newer version, or changed by hand? Restore it from a copy.",
    )
