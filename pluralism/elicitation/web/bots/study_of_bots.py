"""Many bots at once: simulated people play whole sessions of one study, and a report says what was lost."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pluralism.elicitation.simulation.people import SimulatedPeople, simulate_people
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.elicitation.web.bots.bot import Bot, Played, join_form
from pluralism.elicitation.web.bots.browser import Browser
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["BotReport", "play_study"]

_VALUES = 12
_FIRST_LOOK = 20.0


@dataclass(frozen=True)
class BotReport:
    """How it went.

    Attributes
    ----------
    bots, finished : int
    lost_turns, doubled_turns : int
        Of answers, cards and votes that the service had acknowledged.
    problems : mapping of str to int
        What stopped bots, and how many.
    requests, repeated : int
    seconds : float
    vote_p50_ms, vote_p95_ms, step_p95_ms : float
        Milliseconds until a vote, or any form, is acknowledged; NaN where there was none.
    """

    bots: int
    finished: int
    lost_turns: int
    doubled_turns: int
    problems: dict[str, int]
    requests: int
    repeated: int
    seconds: float
    vote_p50_ms: float
    vote_p95_ms: float
    step_p95_ms: float

    @property
    def ok(self) -> bool:
        """Whether all came to the end and nothing was lost or doubled."""
        return self.finished == self.bots and self.lost_turns == self.doubled_turns == 0

    def to_dict(self) -> dict[str, Any]:
        """Everything by name."""
        return asdict(self)

    def to_frame(self) -> pa.Table:
        """One row a measure."""
        rows = {name: float(value) for name, value in self.to_dict().items() if isinstance(value, int | float)}
        return pa.table({"measure": pa.array(rows, pa.string()), "value": pa.array(rows.values(), pa.float64())})

    def to_json(self) -> str:
        """`to_dict` as JSON; a number that is not there is null."""
        plain = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in self.to_dict().items()}
        return json.dumps(plain)

    def __repr__(self) -> str:
        return (
            f"BotReport({self.finished:,} of {self.bots:,} finished, {self.lost_turns} lost, {self.doubled_turns} "
            f"doubled; votes p50 {self.vote_p50_ms:.0f} ms, p95 {self.vote_p95_ms:.0f} ms)"
        )


def play_study(
    link: str,
    n: int,
    *,
    at_once: int = 200,
    pause: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
    rng: RNG = 0,
) -> BotReport:
    """Let simulated people take part in a study.

    Parameters
    ----------
    link : str
        Of the study, for participants: ``http://127.0.0.1:8000/join/...``; it must take `n` people.
    n : int
    at_once : int
        How many at the same time.
    pause : float
        Mean seconds that each thinks before a form is sent; the times are drawn from an exponential distribution.
    progress : callable, optional
        Gets how many have come to an end, and how many there are.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        A number is not possible, or the link does not lead to a study that can be joined.
    StorageError
        Nothing answers there.
    """
    if n < 1 or at_once < 1 or pause < 0:
        raise UsageError("Bots, and how many at once, are 1 or more, and pauses are not negative.", fix="Change them.")
    # One look before: what nobody can join is said at once, and not by each bot after its patience.
    with closing(Browser(link, timeout=_FIRST_LOOK, tries=3)) as browser:
        join_form(browser, link)
    generator = as_generator(rng, "bots")
    people = simulate_people(n, _VALUES, sharpness=2.0, unsure=0.1, rng=generator)
    bots = [
        Bot(link, list(people.cards.values())[i % _VALUES], _judge(people, i, one), one, pause=pause)
        for i, one in enumerate(generator.spawn(n))
    ]
    ended, lock = 0, threading.Lock()

    def play(bot: Bot) -> Played:
        nonlocal ended
        played = bot.play()
        with lock:
            ended += 1
            if progress is not None:
                progress(ended, n)
        return played

    begun = time.perf_counter()
    with ThreadPoolExecutor(min(at_once, n)) as pool:
        played = list(pool.map(play, bots))
    return _report(played, time.perf_counter() - begun)


def _judge(people: SimulatedPeople, person: int, rng: np.random.Generator) -> Callable[[str, str], str]:
    """How a person votes on cards that it knows by their titles; of those of the case it has no opinion."""
    places = {card.title: i for i, card in enumerate(people.cards.values())}

    def judge(first: str, second: str) -> str:
        if first not in places or second not in places:
            return ANSWERS[int(rng.integers(len(ANSWERS)))]
        who, source, wiser, context = (np.array([k]) for k in (person, places[first], places[second], 0))
        return ANSWERS[int(people.answer(who, source, wiser, context, rng)[0])]

    return judge


def _report(played: list[Played], seconds: float) -> BotReport:
    votes, steps = ([time for one in played for time in getattr(one, name)] for name in ("votes", "steps"))

    def milliseconds(times: list[float], share: float) -> float:
        return 1e3 * float(np.quantile(times, share)) if times else float("nan")

    return BotReport(
        bots=len(played),
        finished=sum(one.finished for one in played),
        lost_turns=sum(one.lost for one in played),
        doubled_turns=sum(one.doubled for one in played),
        problems=dict(Counter(one.problem for one in played if one.problem)),
        requests=sum(one.requests for one in played),
        repeated=sum(one.again for one in played),
        seconds=seconds,
        vote_p50_ms=milliseconds(votes, 0.5),
        vote_p95_ms=milliseconds(votes, 0.95),
        step_p95_ms=milliseconds(steps, 0.95),
    )
