"""The dialogue of an interview in a terminal, or with a script that types: what is shown, and what is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO, cast, get_args

from pluralism.elicitation.interview.card_form import advice
from pluralism.elicitation.interview.content import fill
from pluralism.elicitation.interview.events import Verdict, VoteAnswer
from pluralism.elicitation.interview.participant_text import seen
from pluralism.errors import InterviewError
from pluralism.printable import hidden_characters

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pluralism.elicitation.interview import Interview
    from pluralism.elicitation.interview.events import CardText

__all__ = ["Dialogue"]


class _Left(Exception):
    """The input has ended."""


class _Again(Exception):
    """Somebody paused, withdrew, or wants the card: look at the state again."""


class Dialogue:
    """Shows what the interviewer says and reads what the participant types, until the interview ends.

    A text ends with an empty line; a choice is a number or the word beside it. A line that begins with ``/`` commands:
    ``/card``, ``/pause``, ``/withdraw``.

    Parameters
    ----------
    interview : Interview
    console : rich.console.Console
    source : file
        What is typed.
    """

    def __init__(self, interview: Interview, console: Console, source: TextIO) -> None:
        self.interview, self.console, self.source = interview, console, source
        self.protocol, self.language = interview.protocol, interview.state.begun.language
        self._interactive = source.isatty()
        self._mid_line = False

    def run(self, *, welcome: bool) -> None:
        """Go on until the interview ends or is paused, by the participant or because the input has ended."""
        if welcome:
            self._say(self._text("welcome"))
            if self.interview.interviewer.revises:
                self._say(fill(self._text("model_notice"), model=self.interview.interviewer.name))
            self._say(self._text("question"))
            self._quote(self.interview.case.question[self.language])
        if self.interview.state.halted == "paused":
            self.interview.resume()
        if not welcome and self.interview.state.awaits == "answer":
            self._say(self.interview.state.turns[-1].question)
        steps: dict[str, Callable[[], None]] = {
            "consent": self._consent,
            "context": self._context,
            "answer": self._answer,
            "card": self._card,
            "duplicate": self._duplicate,
            "vote": self._vote,
            "survey": self._survey,
        }
        while True:
            awaited = self._advance()
            if awaited is None or awaited == "return":
                return
            self.console.print()
            try:
                steps[awaited]()
            except _Again:
                continue
            except InterviewError as error:
                self._say(f"{error.what} {error.fix or ''}".strip())
            except _Left:
                self.interview.pause()
                return

    # Steps.

    def _advance(self) -> str | None:
        if self.interview.state.due is not None and self.interview.interviewer.revises:
            self._hint("thinking")
        awaited = self.interview.advance(self._piece).awaits
        if self._mid_line:
            self.console.print()
            self._mid_line = False
        return awaited

    def _consent(self) -> None:
        self._say(self._text("consent"))
        answers = {"yes": self._text("consent_yes"), "no": self._text("consent_no")}
        agreed = []
        for scope in self.protocol.consent:
            self._say(scope.text[self.language])
            if self._choose(answers) == "yes":
                agreed.append(scope.id)
        self.interview.consent(agreed)

    def _context(self) -> None:
        self._say(self.interview.case.ask[self.language])
        self._say(self._text("choose_context"))
        texts = {context.id: context.text[self.language] for context in self.interview.case.contexts}
        self.interview.choose_context(self._choose(texts))

    def _answer(self) -> None:
        self._hint("hint_text")
        self.interview.answer(self._read_text())

    def _card(self) -> None:
        state = self.interview.state
        card, version = state.draft, len(state.drafts)
        if card is None:
            return
        complete = bool(card.title and card.policies)
        if complete:
            self._say(self._text("card"))
            self._show_card(card)
            found = advice(card, self.language)
            if found:
                self._say(self._text("advice"))
                for finding in found:
                    self._say(f"- {finding.field}: {finding.fix}")
        options = {"confirm": self._text("confirm")} if complete else {}
        options["edit"] = self._text("edit")
        if complete and self.interview.interviewer.revises:
            options["revise"] = self._text("revise")
        if not complete:
            self._say(self._text("fill_in"))
        chosen = self._choose(options) if complete else "edit"
        if chosen == "confirm":
            self.interview.confirm_card(version=version)
        elif chosen == "revise":
            self._say(self._text("wish"))
            self.interview.ask_revision(self._read_text(), version=version)
        else:
            self._edit(card, version)

    def _edit(self, card: CardText, version: int) -> None:
        self._hint("hint_keep")
        self._present("form_title", card.title)
        title = self._line() or card.title
        self._present("form_description", card.description)
        description = self._read_text() or card.description
        self._present("form_policies", "\n".join(card.policies))
        policies = self._read_text().split("\n")
        self.interview.edit_card(title, description, policies if any(policies) else card.policies, version=version)

    def _present(self, name: str, text: str) -> None:
        self._say(self._text(name))
        if text:
            self._quote(text)

    def _duplicate(self) -> None:
        state = self.interview.state
        proposal, card = state.next_proposal, state.card
        if proposal is None or card is None:
            return
        self._beside(card, self._text("your_card"), proposal.card, self._text("other_card"))
        self._say(self._text("duplicate"))
        verdict = self._choose({name: self._text(name) for name in get_args(Verdict)})
        self.interview.judge_duplicate(proposal.card_id, cast("Verdict", verdict))

    def _vote(self) -> None:
        state = self.interview.state
        number = state.next_item
        if number is None or state.ballot is None:
            return
        item = state.ballot[number]
        self._say(f"{number + 1}/{len(state.ballot)}  {item.context}")
        self._beside(item.source, self._text("first"), item.wiser, self._text("then"))
        self._quote(item.story)
        self._say(self._text("vote"))
        answer = self._choose({name: self._text(name) for name in get_args(VoteAnswer)})
        self._say(self._text("comment"))
        self._hint("hint_skip")
        self.interview.vote(number, cast("VoteAnswer", answer), comment=self._read_text())

    def _survey(self) -> None:
        self._say(self._text("survey"))
        answers: dict[str, int | str] = {}
        for question in self.protocol.survey:
            self._say(question.text[self.language])
            if question.kind == "scale":
                answers[question.id] = int(self._choose({str(k): "" for k in range(1, 6)}))
            else:
                self._hint("hint_skip")
                answers[question.id] = self._read_text()
        self.interview.answer_survey(answers)

    # What is read.

    def _line(self) -> str:
        """A line, or what it commands."""
        line = self._typed()
        command = line.strip().lower()
        if command == "/pause":
            self.interview.pause()
        elif command == "/withdraw":
            self.interview.withdraw()
        elif command == "/card":
            self.interview.request_card()
        else:
            return line
        raise _Again

    def _typed(self) -> str:
        if self._interactive:
            self.console.print("> ", end="")
        line = self.source.readline()
        if not line:
            raise _Left
        return line.rstrip()

    def _read_text(self) -> str:
        """Lines up to an empty one; only the first can be a command."""
        lines = [self._line()]
        while lines[-1]:
            lines.append(self._typed())
        return "\n".join(lines[:-1])

    def _choose(self, options: Mapping[str, str]) -> str:
        names = list(options)
        scale = not any(options.values())
        for number, (name, text) in enumerate(options.items(), 1):
            if not scale:
                self._say(f"{number}  {text or name}")
        self._hint("hint_choice")
        while True:
            typed = self._line().strip().lower()
            if typed in names:
                return typed
            if typed.isdecimal() and 1 <= int(typed) <= len(names):
                return names[int(typed) - 1]
            self._hint("hint_choice")

    # What is shown.

    def _text(self, name: str) -> str:
        return self.protocol.text(name, self.language)

    def _say(self, text: str) -> None:
        self.console.print(seen(text))

    def _quote(self, text: str) -> None:
        from rich.padding import Padding

        self.console.print(Padding(seen(text), (0, 4)))

    def _hint(self, name: str) -> None:
        self.console.print(self._text(name), style="dim")

    def _piece(self, piece: str | None) -> None:
        if piece is None:
            self.console.print()
            self._say(self._text("taken_back"))
            return
        self._mid_line = True
        unseen = hidden_characters(piece)
        self.console.print("".join(c for c in piece if c not in unseen), end="", soft_wrap=True)

    def _show_card(self, card: CardText) -> None:
        self.console.print(_panel(card, ""))

    def _beside(self, left: CardText, left_name: str, right: CardText, right_name: str) -> None:
        from rich.table import Table

        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(_panel(left, left_name), _panel(right, right_name))
        self.console.print(grid)


def _panel(card: CardText, name: str) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    inside = Text()
    inside.append(f"{seen(card.title)}\n", style="bold")
    if card.description:
        inside.append(f"{seen(card.description)}\n")
    for policy in card.policies:
        inside.append(f"\n· {seen(policy)}")
    return Panel(inside, title=name or None, padding=(0, 1))
