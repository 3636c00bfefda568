"""`pluralism interview`: an interview in the terminal, by a script or a language model, to be left and resumed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.named_model import NamedModel
from pluralism.cli.options import ApiKeyOption, JsonOption, LlmModelOption, LlmOption, LocalOption
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.elicitation.interview import Interview, Interviewer
    from pluralism.elicitation.interview.protocol import Protocol
    from pluralism.llm import ChatModel

__all__ = ["interview"]

_CASE, _PROTOCOL, _LANGUAGE = "unruly-child", "moral-graph", "en"
_INTERRUPTED = 130


def interview(
    case: Annotated[
        str | None, typer.Option("--case", help=f"A shipped case by name, or a .toml file. Left out: {_CASE}.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help=f"A shipped protocol by name, or a .toml file; {_PROTOCOL}.")
    ] = None,
    language: Annotated[str | None, typer.Option("--language", help="Such as en or de. Left out: en.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.jsonl", help="The record; where it is there already, go on with it."),
    ] = None,
    participant: Annotated[str | None, typer.Option("--participant", help="A pseudonym for the votes.")] = None,
    llm: LlmOption = None,
    llm_model: LlmModelOption = None,
    api_key_env: ApiKeyOption = "OPENAI_API_KEY",
    local: LocalOption = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the ballot, and of a local model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Interview somebody about what they care about, ending in a values card and votes."""
    from pluralism.cli.output import output

    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    model = _model(NamedModel(llm, llm_model, api_key_env, local, "An interview has one interviewer."))
    with output(as_json) as result:
        session, begun = _session(case, protocol, language, out, participant, model, seed)
        console = _stderr() if as_json else result.console
        try:
            _talk(session, console, begun, kept=out is not None)
        finally:
            if model is not None:
                model.close()
        document = session.state.to_dict() | {"out": None if out is None else str(out)}
        result.show(document, lambda console: _render(console, session, out))


def _model(named: NamedModel) -> ChatModel | None:
    model = named.open()
    if model is None:
        return None
    try:
        # Later failures leave the interview to the script; a wrong name, address or key should be known before.
        model.chat([{"role": "user", "content": "Say yes."}], max_tokens=8)
    except BaseException:
        model.close()
        raise
    return model


def _session(
    case: str | None,
    protocol: str | None,
    language: str | None,
    out: Path | None,
    participant: str | None,
    model: ChatModel | None,
    seed: int | None,
) -> tuple[Interview, bool]:
    """The interview, and whether it begins now."""
    from pluralism.elicitation.interview import (
        Interview,
        JsonlStore,
        LLMInterviewer,
        MemoryStore,
        read_case,
        read_protocol,
    )

    interviewer: Interviewer | None = None if model is None else LLMInterviewer(model)
    store = MemoryStore() if out is None else JsonlStore(out)
    events = store.read()
    if not events:
        chosen = read_protocol(protocol or _PROTOCOL), read_case(case or _CASE)
        options: dict[str, Any] = {"participant": participant, "interviewer": interviewer, "rng": seed}
        return Interview.begin(store, *chosen, language=language or _LANGUAGE, **options), True
    from pluralism.elicitation.interview.fold import fold

    begun = fold(events).begun
    for option, given, recorded in (
        ("--language", language, begun.language),
        ("--participant", participant, begun.participant),
    ):
        if given is not None and given != recorded:
            raise UsageError(
                f"The interview in this file was begun with {option} {recorded}.",
                where=f"{option} {given}",
                fix=f"Leave out {option}, or name another file.",
            )
    chosen = read_protocol(protocol or begun.protocol), read_case(case or begun.case)
    return Interview(store, *chosen, interviewer=interviewer), False


def _talk(session: Interview, console: Console, begun: bool, *, kept: bool) -> None:
    from pluralism.cli.interview_dialogue import Dialogue

    try:
        Dialogue(session, console, sys.stdin).run(welcome=begun)
    except KeyboardInterrupt:
        how = "What was said is kept: go on with the same line." if kept else "Nothing is kept, as --out was not given."
        sys.stderr.write(f"\nStopped. {how}\n")
        raise SystemExit(_INTERRUPTED) from None
    if session.state.phase == "paused" and not kept:
        raise UsageError(
            "The input ended before the interview did, and nothing is kept.",
            fix="Use --out FILE.jsonl, and go on later with the same line.",
        )


def _render(console: Console, session: Interview, out: Path | None) -> None:
    from pluralism.cli.output import clean_text

    state, protocol = session.state, session.protocol
    _say_end(console, state.phase, protocol, state.begun.language)
    if state.card is not None:
        console.print(clean_text(f"{state.card.title}: {len(state.votes)} votes"), soft_wrap=True)
    if state.fallbacks:
        console.print(f"the language model failed {state.fallbacks} times, and the script went on", soft_wrap=True)
    if out is not None:
        console.print(f"written to {out}", soft_wrap=True)


def _say_end(console: Console, phase: str, protocol: Protocol, language: str) -> None:
    if phase in ("done", "paused", "withdrawn", "expired"):
        console.print(protocol.text(phase, language), soft_wrap=True)


def _stderr() -> Console:
    from rich.console import Console

    return Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
