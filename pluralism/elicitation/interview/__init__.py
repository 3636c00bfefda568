"""Interviews that end in a values card and votes: protocols, cases, interviewers, and records that can be resumed."""

from __future__ import annotations

from pluralism.elicitation.interview.case import Case, read_case
from pluralism.elicitation.interview.contribution import contribute
from pluralism.elicitation.interview.events import Event
from pluralism.elicitation.interview.fold import fold
from pluralism.elicitation.interview.interviewers import Interviewer, LLMInterviewer, ScriptedInterviewer
from pluralism.elicitation.interview.jsonl_store import JsonlStore
from pluralism.elicitation.interview.pool import Pair, Pool, StaticPool
from pluralism.elicitation.interview.protocol import Protocol, read_protocol
from pluralism.elicitation.interview.session import Interview
from pluralism.elicitation.interview.state import InterviewState
from pluralism.elicitation.interview.store import EventStore, MemoryStore

__all__ = [
    "Case",
    "Event",
    "EventStore",
    "Interview",
    "InterviewState",
    "Interviewer",
    "JsonlStore",
    "LLMInterviewer",
    "MemoryStore",
    "Pair",
    "Pool",
    "Protocol",
    "ScriptedInterviewer",
    "StaticPool",
    "contribute",
    "fold",
    "read_case",
    "read_protocol",
]
