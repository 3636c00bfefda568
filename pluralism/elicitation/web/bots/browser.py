"""A browser without a screen: one connection that is kept, cookies, and patience where the service asks for it."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from pluralism.elicitation.web.bots.page_forms import Page, read_page
from pluralism.errors import StorageError, UsageError

__all__ = ["Answer", "Browser"]

_LONGEST_WAIT = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes
    ----------
    status : int
    location : str
        Where it leads to, or empty.
    body : bytes
    seconds : float
        Of the try that counted.
    """

    status: int
    location: str
    body: bytes
    seconds: float

    def page(self) -> Page:
        """The page in it."""
        return read_page(self.body.decode("utf-8", "replace"))


@dataclass
class Browser:
    """Asks one service.

    Parameters
    ----------
    address : str
        Of any page of it.
    timeout : float
        Seconds.
    tries : int
        How often it asks where no answer comes.
    """

    address: str
    timeout: float = 60.0
    tries: int = 11
    requests: int = 0
    again: int = 0
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{self.address!r} is no address.", fix="Give one such as http://127.0.0.1:8000/join/...")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=self.timeout)

    def get(self, path: str) -> Answer:
        """Ask for a page."""
        return self._ask("GET", path, None)

    def post(self, path: str, fields: list[tuple[str, str]]) -> Answer:
        """Send a form, again where no answer comes: its key makes that safe."""
        return self._ask("POST", path, urlencode(fields).encode("ascii"))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        wait = 0.05
        for _ in range(self.tries):
            try:
                answer, retry_after = self._once(method, path, body)
            except (OSError, http.client.HTTPException):
                self._connection.close()
            else:
                if answer.status not in (429, 503):
                    return answer
                wait = max(wait, retry_after)
            self.again += 1
            time.sleep(min(wait, _LONGEST_WAIT))
            wait *= 2
        raise StorageError(f"The service did not answer {self.tries} times.", fix="Is it there, and fast enough?")

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[Answer, float]:
        headers = {"Accept": "text/html"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        begun = time.perf_counter()
        self.requests += 1
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - begun
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        waited = response.headers.get("Retry-After", "")
        location = response.headers.get("Location", "")
        return Answer(response.status, location, content, seconds), float(waited) if waited.isdecimal() else 0.0
