"""Agents by name, those of other packages included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Agent
from pluralism.progress.agents.extrapolation import DampedTrend, Extrapolative, StraightLine
from pluralism.progress.agents.kalman import LQG, Kalman
from pluralism.progress.agents.language_model import ExtrapolativeDPO, LifelongDPO
from pluralism.progress.agents.low_rank_vote import LowRankVote
from pluralism.progress.agents.naive import Frozen, Lifelong, Persistence, Pooled, Uniform
from pluralism.progress.agents.oracles import Clairvoyant, History, Lead, Riccati, StateOracle
from pluralism.progress.agents.reward_model import RewardModel, VoteFilter

__all__ = ["AGENT_GROUP", "agent_names", "make_agent"]

AGENT_GROUP = "pluralism.progress_agents"

_CLASSES: dict[str, Callable[..., Agent]] = {
    made.label: made
    for made in (
        Uniform,
        Frozen,
        Persistence,
        Pooled,
        Lifelong,
        Extrapolative,
        StraightLine,
        DampedTrend,
        Kalman,
        LQG,
        RewardModel,
        VoteFilter,
        LowRankVote,
        LifelongDPO,
        ExtrapolativeDPO,
        Clairvoyant,
        StateOracle,
        Riccati,
        History,
        Lead,
    )
}


@cache
def _outside() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=AGENT_GROUP)}


def agent_names() -> tuple[str, ...]:
    """Names that `make_agent` knows."""
    return tuple(sorted({*_CLASSES, *_outside()}))


def make_agent(name: str) -> Agent:
    """Make an agent from its name and, after a colon, its settings.

    Parameters
    ----------
    name : str
        Such as ``"kalman"``, ``"extrapolative:order=2"`` or ``"damped_trend:level=0.5;damping=0.9"``.

    Raises
    ------
    UsageError
        If the name or a setting is unknown.

    Examples
    --------
    >>> make_agent("extrapolative:order=2").order
    2
    """
    word, _, settings = name.partition(":")
    make = _CLASSES.get(word)
    if make is None and word in _outside():
        make = _loaded(word, _outside()[word])
    if make is None:
        raise UsageError(f"There is no agent {word!r}.", fix=f"Use one of {', '.join(agent_names())}.")
    given = dict(_settings(name, settings.split(";"))) if settings else {}
    try:
        made = make(**given)
    except TypeError as error:
        raise UsageError(f"The agent {word!r} does not take these settings: {error}.", fix="Leave them out.") from error
    if not isinstance(made, Agent):
        raise UsageError(
            f"What is registered as {word!r} makes {type(made).__name__}, which is no agent.",
            fix="Derive it from pluralism.progress.Agent.",
        )
    return made


def _loaded(word: str, point: EntryPoint) -> Callable[..., Agent]:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The agent {word!r} of another package cannot be loaded: {error}.",
            where=f"entry point {point.value!r}",
            fix="Mend or remove that package.",
        ) from error


def _settings(name: str, parts: Iterable[str]) -> Iterable[tuple[str, Any]]:
    for part in parts:
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise UsageError(
                f"{part!r} is not a setting.", where=f"agent {name!r}", fix="Write name:setting=value;setting=value."
            )
        yield key.strip(), _number(value.strip())


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
