"""People who take part in a study of the service."""

from __future__ import annotations

import secrets

from interviews import step

from pluralism.elicitation.web.study import DemographicQuestion


def join(service, study, *, language="en", key=None):
    """Somebody who has joined."""
    link = service.links.create(study_id=study.id, role="participant", by="organiser")
    return service.people.join(link.token, language=language, key=key or secrets.token_hex(8)).participant


def play(service, participant_id, *, until=None, answer="upgrade", vote_comment="", say=None):
    """Let somebody go through the interview, to its end or until it awaits something; the interview."""
    interview = service.people.interview(participant_id)
    while True:
        state = interview.advance()
        if state.awaits is None or state.awaits == until:
            return interview
        key = f"event {state.version}"
        if state.awaits == "answer" and say is not None:
            interview.answer(say, key=key)
        elif state.awaits == "card" and say is not None and state.drafts[-1].title != say[:40]:
            interview.edit_card(say[:40], say, [f"MOMENTS of {say}"], version=len(state.drafts), key=key)
        elif state.awaits == "vote":
            chosen = answer(state.next_item) if callable(answer) else answer
            interview.vote(state.next_item, chosen, comment=vote_comment, key=key)
        else:
            step(interview, key=key)


def take_part(service, study, **options):
    """Somebody who joins and goes through the interview; their id."""
    participant = join(service, study, language=options.pop("language", "en"))
    play(service, participant.id, **options)
    return participant.id


def age():
    """A question about oneself."""
    return DemographicQuestion.model_validate(
        {
            "id": "age",
            "text": {"en": "How old are you?", "de": "Wie alt sind Sie?"},
            "options": [
                {"id": "young", "text": {"en": "Under 40", "de": "Unter 40"}},
                {"id": "old", "text": {"en": "40 or more", "de": "40 oder mehr"}},
            ],
        }
    )
