"""One bot: somebody with a card and an opinion, who goes from the link to the end and looks at what was kept."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.web.bots.browser import Answer, Browser
from pluralism.elicitation.web.bots.page_forms import Form, Page
from pluralism.errors import PluralismError, UsageError

__all__ = ["Bot", "Played", "join_form"]

_STEPS = 200


def join_form(browser: Browser, link: str) -> Form:
    """The form by which a study is joined.

    Raises
    ------
    UsageError
        There is none where the link leads to.
    StorageError
        The service does not answer.
    """
    form = next((form for form in browser.get(urlsplit(link).path).page().forms if not form.action), None)
    if form is None:
        fix = "Make a link for participants under Invite, and open the study."
        raise UsageError("The link does not lead to a study that can be joined.", fix=fix)
    return form


@dataclass
class Played:
    """What became of one bot.

    Attributes
    ----------
    finished : bool
    problem : str
        What stopped it, or empty.
    lost, doubled : int
        What the service had acknowledged and does not have, and what it has more often than it was sent.
    votes, steps : list of float
        Seconds that the answers to votes, and to all forms, took.
    requests, again : int
        And how many of them were repeated.
    """

    finished: bool = False
    problem: str = ""
    lost: int = 0
    doubled: int = 0
    votes: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    requests: int = 0
    again: int = 0


class Bot:
    """Takes part once.

    Parameters
    ----------
    link : str
        Of the study, for participants.
    card : ValuesCard
        What it cares about.
    judge : callable
        Gets the titles of the first and the second card; "upgrade", "no_upgrade" or "not_sure".
    rng : numpy.random.Generator
    pause : float
        Mean seconds before each form is sent.
    """

    def __init__(
        self,
        link: str,
        card: ValuesCard,
        judge: Callable[[str, str], str],
        rng: np.random.Generator,
        *,
        pause: float = 0.0,
    ) -> None:
        self.link, self.card, self.judge, self.rng, self.pause = link, card, judge, rng, pause
        self.browser = Browser(link)
        self.played = Played()
        self._said: list[str] = []
        self._voted: dict[int, str] = {}

    def play(self) -> Played:
        """Go through the whole session; what stops it is in the outcome."""
        try:
            self._join()
            self._interview()
            self._look()
        except PluralismError as error:
            self.played.problem = error.what
        finally:
            self.browser.close()
        self.played.requests, self.played.again = self.browser.requests, self.browser.again
        return self.played

    def _join(self) -> None:
        form = join_form(self.browser, self.link)
        answer = self.browser.post(urlsplit(self.link).path, [*form.hidden.items(), *self._first_choices(form)])
        if answer.status != 303:
            raise PluralismError(f"Joining was answered by {answer.status}.")

    def _interview(self) -> None:
        steps: dict[str, Callable[[Page, Form], list[tuple[str, str]]]] = {
            "/interview/go-on": lambda page, form: [],
            "/interview/consent": self._consent,
            "/interview/context": self._choose,
            "/interview/answer": self._answer,
            "/interview/card": self._card,
            "/interview/duplicate": lambda page, form: [("verdict", "different")],
            "/interview/vote": self._vote,
            "/interview/survey": self._survey,
        }
        for _ in range(_STEPS):
            page = self._see()
            found = next((form for form in page.forms if form.action in steps), None)
            if found is None:
                return
            given = steps[found.action](page, found)
            if self.pause:
                time.sleep(self.rng.exponential(self.pause))
            answer = self.browser.post(found.action, [*found.hidden.items(), *given])
            self._acknowledge(found, given, answer)
        raise PluralismError("The interview does not end.")

    def _see(self) -> Page:
        answer = self.browser.get("/interview")
        if answer.status != 200:
            raise PluralismError(f"The interview was answered by {answer.status}.")
        return answer.page()

    def _acknowledge(self, form: Form, given: list[tuple[str, str]], answer: Answer) -> None:
        if answer.status != 303:
            raise PluralismError(f"{form.action} was answered by {answer.status}.")
        self.played.steps.append(answer.seconds)
        sent = dict(given)
        if form.action == "/interview/answer":
            self._said.append(sent["text"])
        elif form.action == "/interview/vote":
            self.played.votes.append(answer.seconds)
            self._voted[int(form.hidden["item"])] = sent["answer"]

    # What it sends.

    def _first_choices(self, form: Form) -> list[tuple[str, str]]:
        return [(name, values[0]) for name, values in form.choices.items()]

    def _consent(self, page: Page, form: Form) -> list[tuple[str, str]]:
        return [("scopes", scope) for scope in form.choices.get("scopes", ())]

    def _choose(self, page: Page, form: Form) -> list[tuple[str, str]]:
        return [(name, values[int(self.rng.integers(len(values)))]) for name, values in form.choices.items()]

    def _answer(self, page: Page, form: Form) -> list[tuple[str, str]]:
        # Each answer is unlike every other, so that one that is lost or doubled is seen.
        said = f"{len(self._said)} {self.rng.integers(2**62):x}: {self.card.policies[0]}, as I have lived it."
        return [("text", said)]

    def _card(self, page: Page, form: Form) -> list[tuple[str, str]]:
        policies = "\n".join(self.card.policies)
        fields = {"title": self.card.title, "description": self.card.description, "policies": policies}
        return [*fields.items(), ("then", "confirm")]

    def _vote(self, page: Page, form: Form) -> list[tuple[str, str]]:
        first, second = page.cards[:2]
        return [("answer", self.judge(first, second)), ("comment", f"{self.rng.integers(2**62):x}")]

    def _survey(self, page: Page, form: Form) -> list[tuple[str, str]]:
        return self._choose(page, form)

    def _look(self) -> None:
        """Compare what the service has with what it had acknowledged."""
        answer = self.browser.get("/interview/my-data.json")
        if answer.status != 200:
            raise PluralismError(f"The data were answered by {answer.status}.")
        kept = json.loads(answer.body)
        there = Counter(turn["answer"] for turn in kept["turns"] if turn["answer"] is not None)
        votes = [vote["answer"] for vote in kept["votes"]]
        sent = Counter(self._said)
        self.played.lost = (sent - there).total()
        self.played.lost += int((kept["card"] or {}).get("title") != self.card.title)
        self.played.lost += sum(vote != wanted for vote, wanted in zip(votes, _in_order(self._voted), strict=False))
        self.played.lost += max(0, len(self._voted) - len(votes))
        self.played.doubled = (there - sent).total() + max(0, len(votes) - len(self._voted))
        self.played.finished = kept["phase"] == "done"


def _in_order(votes: dict[int, str]) -> list[str]:
    return [votes[item] for item in sorted(votes)]
