"""Who a browser is, in a signed cookie: nothing about sessions is kept by the server."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from http.cookies import SimpleCookie

from fastapi.requests import HTTPConnection
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Session", "SessionMiddleware", "session_of"]

COOKIE = "pluralism_session"


@dataclass(frozen=True, repr=False)
class Session:
    """What a browser is known by.

    Attributes
    ----------
    id : str
        128 random bits; new at every change of who one is, so that no session can be fixed from outside.
    participant : str
        The id of the participant whose interview goes on in this browser, or empty.
    way_back : str
        The token of their own link, so that it can be shown to them again.
    organiser : str
        The id of the link by which an organiser came, or empty.
    entered : int
        When the organiser came, in seconds.
    password_mark : str
        Of the password by which they came (`pluralism.elicitation.web.guards.organiser_password`), or empty.
    language : str
        Chosen by hand, or empty.
    """

    id: str
    participant: str = ""
    way_back: str = ""
    organiser: str = ""
    entered: int = 0
    password_mark: str = ""
    language: str = ""

    def __repr__(self) -> str:
        return f"Session({'organiser' if self.organiser else 'participant' if self.participant else 'anonymous'})"

    @classmethod
    def new(cls) -> Session:
        """Of somebody nobody knows."""
        return cls(secrets.token_urlsafe(16))

    def taking_part(self, participant: str, way_back: str) -> Session:
        """The session of a participant; an organiser in the same browser stays one."""
        return replace(self, id=secrets.token_urlsafe(16), participant=participant, way_back=way_back)

    def organising(self, link: str, password_mark: str = "") -> Session:
        """The session of an organiser, or with an empty link of one who has left."""
        name = secrets.token_urlsafe(16)
        return replace(self, id=name, organiser=link, entered=int(time.time()), password_mark=password_mark)

    def speaking(self, language: str) -> Session:
        """The session with another language."""
        return replace(self, language=language)


def session_of(connection: HTTPConnection) -> Session:
    """The session of a request."""
    session: Session = connection.state.session
    return session


class SessionMiddleware:
    """Reads the session of each request into `request.state.session`, and sets the cookie where it has changed.

    Parameters
    ----------
    app : ASGI application
    secret : str
        Signs the cookie; all workers have the same.
    hours : float
        Age from which on a cookie counts for nothing.
    secure : bool
        Whether the cookie is sent over HTTPS alone.
    """

    def __init__(self, app: ASGIApp, *, secret: str, hours: float, secure: bool) -> None:
        self.app, self.hours, self.secure = app, hours, secure
        self._signer = URLSafeTimedSerializer(secret, salt="pluralism session")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        found = self._read(connection.cookies.get(COOKIE, ""))
        connection.state.session = session = found or Session.new()

        async def send_with_cookie(message: Message) -> None:
            now = connection.state.session
            wanted = now != session or (found is None and getattr(connection.state, "needs_cookie", False))
            if message["type"] == "http.response.start" and wanted:
                MutableHeaders(scope=message).append("Set-Cookie", self._cookie(now))
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    def _read(self, cookie: str) -> Session | None:
        try:
            fields = self._signer.loads(cookie, max_age=int(self.hours * 3600)) if cookie else None
        except BadSignature:
            return None
        names = {field.name for field in dataclass_fields(Session)}
        return Session(**fields) if isinstance(fields, dict) and set(fields) == names else None

    def _cookie(self, session: Session) -> str:
        cookie: SimpleCookie = SimpleCookie()
        cookie[COOKIE] = self._signer.dumps(asdict(session))
        morsel = cookie[COOKIE]
        morsel["path"], morsel["httponly"], morsel["samesite"] = "/", True, "Lax"
        morsel["max-age"] = int(self.hours * 3600)
        if self.secure:
            morsel["secure"] = True
        return morsel.OutputString()
