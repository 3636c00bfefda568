"""A participant who knows what to say, and a clock that can be set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pluralism.elicitation.interview import Interview, MemoryStore, StaticPool, read_case, read_protocol
from pluralism.elicitation.values_card import ValuesCard

ANSWERS = {
    "story": "My grandmother listened to my brother until he had said it all.",
    "attention": "MOMENTS when a child is about to give up\nNEEDS beneath an outburst, such as hunger\nSIGNS of shame",
    "for-its-own-sake": "The first, always.",
    "meaning": "Children who are listened to learn to trust themselves.",
    "back-to-the-case": "To wait before speaking.",
    "name": "Waiting beside the storm",
}
POLICIES = tuple(ANSWERS["attention"].split("\n"))
SURVEY = {"represented": 5, "clarified": 4, "respect": 3, "remarks": "Thank you."}


class SetClock:
    """Goes on by a second whenever it is asked, and by more when it is told."""

    def __init__(self):
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now

    def wait(self, **time):
        self.now += timedelta(**time)


def begin(store=None, *, case="unruly-child", protocol=None, **options):
    """A new interview with the shipped protocol."""
    chosen = read_protocol("moral-graph") if protocol is None else protocol
    options = {"rng": 0, "clock": SetClock(), "participant": "ann"} | options
    return Interview.begin(MemoryStore() if store is None else store, chosen, read_case(case), **options)


def step(interview, *, key=None):
    """What the participant does next, whatever it is; False at the end."""
    state = interview.advance()
    options = {} if key is None else {"key": key}
    match state.awaits:
        case "consent":
            interview.consent(("card", "chat"), **options)
        case "context":
            interview.choose_context("a-child-cannot-say-it", **options)
        case "answer":
            interview.answer(ANSWERS[state.turns[-1].stage], **options)
        case "card":
            interview.confirm_card(version=len(state.drafts), **options)
        case "duplicate":
            interview.judge_duplicate(state.next_proposal.card_id, "different", **options)
        case "vote":
            interview.vote(state.next_item, "upgrade", **options)
        case "survey":
            interview.answer_survey(SURVEY, **options)
        case "return":
            interview.resume(**options)
        case _:
            return False
    return True


def play(interview, until=None):
    """Go on until the participant is to do `until`, or to the end."""
    for _ in range(200):
        if interview.advance().awaits == until and until is not None:
            return interview.state
        if not step(interview):
            return interview.state
    raise AssertionError("the interview does not end")


def changed(**limits):
    """The shipped protocol with other limits."""
    protocol = read_protocol("moral-graph")
    return protocol.model_copy(update={"limits": protocol.limits.model_copy(update=limits)})


def pool_with(*cards):
    return StaticPool({card.id: card for card in cards})


def twin():
    """Nearly the card that the answers make."""
    policies = [*POLICIES[:2], "SIGNS of shame in a child"]
    return ValuesCard("Waiting with the storm", "Being heard.", policies, "When a child shows by what it does")
