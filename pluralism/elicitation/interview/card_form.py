"""The form of a values card: what fits into it, what stands against confirming it, and what a model has to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from pluralism.elicitation.card_lint import CardFinding, lint_card
from pluralism.elicitation.interview.events import CardText
from pluralism.elicitation.interview.participant_text import clean, clean_line, seen
from pluralism.elicitation.interview.protocol import Limits
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import DataError, InterviewError

__all__ = ["CardFields", "advice", "card_schema", "filled_in", "must_mend"]

# Rules that speak of English words hold for English cards alone.
_ANY_LANGUAGE = frozenset(
    {"hidden-characters", "no-instructions", "policy-count", "policy-length", "title", "description", "redundant"}
)


class CardFields(BaseModel):
    """What a language model fills in."""

    model_config = ConfigDict(extra="forbid")
    title: str
    description: str
    policies: list[str]

    def text(self, context: str) -> CardText:
        """The texts of the card."""
        policies = tuple(dict.fromkeys(self.policies))
        return CardText(title=self.title, description=self.description, policies=policies, context=context)


def filled_in(title: str, description: str, policies: Sequence[str], context: str | None, limits: Limits) -> CardText:
    """A card as a participant wrote it.

    Raises
    ------
    InterviewError
        A field is too long, or the title or all policies are empty.
    """
    if isinstance(policies, str) or not all(isinstance(policy, str) for policy in policies):
        raise InterviewError("The policies of a card are a list of texts.", fix="Send a list.")
    kept = [
        clean_line(policy, most=limits.policy_characters, what=f"Policy {number}")
        for number, policy in enumerate((policy for policy in policies if seen(policy)), 1)
    ]
    if not kept:
        raise InterviewError("The card has no attention policy.", fix="Write at least one.")
    if len(kept) > limits.policies:
        raise InterviewError("The card has too many policies.", fix=f"Keep at most {limits.policies}.")
    return CardText(
        title=clean_line(title, most=limits.title_characters, what="The title"),
        description=clean(description, most=limits.description_characters, what="The description")
        if isinstance(description, str) and seen(description)
        else "",
        policies=tuple(dict.fromkeys(kept)),
        context=context,
    )


def must_mend(card: CardText) -> str | None:
    """What keeps a card from being shown to others; None where nothing does."""
    try:
        errors = lint_card(card.card()).errors
    except DataError as error:
        return error.what
    return f"{errors[0].field}: {errors[0].fix}" if errors else None


def advice(card: CardText, language: str) -> tuple[CardFinding, ...]:
    """What would make a card better, by rules that hold in its language; none where it is not filled in yet."""
    try:
        found: ValuesCard = card.card()
    except DataError:
        return ()
    return tuple(
        finding for finding in lint_card(found).findings if language.startswith("en") or finding.rule in _ANY_LANGUAGE
    )


def card_schema(limits: Limits) -> type[CardFields]:
    """What a model's card has to fit; texts are cleaned, and links or instructions in them refused."""

    def shown(value: Any) -> Any:
        return " ".join(seen(value).split()) if isinstance(value, str) else value

    def all_shown(value: Any) -> Any:
        return [shown(one) for one in value] if isinstance(value, list) else value

    def safe(fields: CardFields) -> CardFields:
        problem = must_mend(fields.text("When it is so"))
        if problem is not None:
            raise ValueError(problem)
        return fields

    policy: Any = Annotated[str, Field(min_length=1, max_length=limits.policy_characters)]
    validators: dict[str, Any] = {
        "shown": field_validator("title", "description", mode="before")(shown),
        "all_shown": field_validator("policies", mode="before")(all_shown),
        "safe": model_validator(mode="after")(safe),
    }
    return create_model(
        "CardFields",
        __base__=CardFields,
        __validators__=validators,
        title=(str, Field(min_length=1, max_length=limits.title_characters)),
        description=(str, Field(min_length=1, max_length=limits.description_characters)),
        policies=(list[policy], Field(min_length=1, max_length=limits.policies)),
    )
