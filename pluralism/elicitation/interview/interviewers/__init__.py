"""Who interviews: a script, or a language model, behind one interface."""

from __future__ import annotations

from pluralism.elicitation.interview.interviewers.interviewer import (
    Candidate,
    Conversation,
    Drafted,
    Duplicates,
    Guess,
    Interviewer,
    Question,
    Story,
)
from pluralism.elicitation.interview.interviewers.llm import LLMInterviewer
from pluralism.elicitation.interview.interviewers.scripted import ScriptedInterviewer

__all__ = [
    "Candidate",
    "Conversation",
    "Drafted",
    "Duplicates",
    "Guess",
    "Interviewer",
    "LLMInterviewer",
    "Question",
    "ScriptedInterviewer",
    "Story",
]
