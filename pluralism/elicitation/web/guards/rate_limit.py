"""How often somebody may ask: buckets that fill up again with time, in the memory of each worker."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from fastapi import HTTPException, Request

from pluralism.elicitation.web.guards.session_cookie import session_of

__all__ = ["Buckets", "Rate", "refuse_too_many"]

_KEPT = 50_000


class Rate(Enum):
    """Requests at once, and those that are given back each second.

    A password can be guessed; a link with its 256 random bits cannot, and many organisers may share an address.
    """

    PAGE = (240, 8.0)
    ACTION = (120, 4.0)
    JOIN = (300, 10.0)
    LOGIN = (10, 1 / 30)
    LINK = (100, 1.0)
    HEAVY = (30, 0.5)
    STATIC = (2000, 200.0)


class Buckets:
    """What is left of each allowance; the ones unused for longest are forgotten first, when there are many.

    Parameters
    ----------
    scale : float
        How many times as much as usual is allowed.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, scale: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.scale, self._clock, self._lock = scale, clock, threading.Lock()
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, who: str, rate: Rate) -> float:
        """Take one; the seconds to wait where nothing is left, else 0."""
        most, per_second = (self.scale * amount for amount in rate.value)
        now, key = self._clock(), (rate.name, who)
        with self._lock:
            left, at = self._left.pop(key, (most, now))
            left = min(most, left + (now - at) * per_second)
            wait = 0.0 if left >= 1 else (1 - left) / per_second
            self._left[key] = (left if wait else left - 1, now)
            while len(self._left) > _KEPT:
                self._left.popitem(last=False)
        return wait


def refuse_too_many(request: Request, rate: Rate) -> None:
    """Refuse whoever has used up their allowance.

    A participant or organiser is known by the session, anybody else by the address, so that a class room that shares
    one address is no single person.

    Raises
    ------
    HTTPException
        429, with the seconds to wait.
    """
    session = session_of(request)
    known = session.organiser or session.participant
    address = request.client.host if request.client else ""
    by_address = rate in (Rate.JOIN, Rate.LOGIN, Rate.LINK, Rate.STATIC) or not known
    who = f"address {address}" if by_address else f"session {known}"
    wait = request.app.state.buckets.take(who, rate)
    if wait:
        raise HTTPException(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})
