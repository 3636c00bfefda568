"""Links that open a study: 256 random bits each, of which only a digest is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Connection, Row, insert, select, update

from pluralism.elicitation.interview.participant_text import clean_line
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.study_transaction import Clock, new_id, study_transaction
from pluralism.errors import AccessError, NotFoundError, UsageError

__all__ = ["Link", "Links", "NewLink", "Role", "new_token", "take_use", "token_digest"]

Role: TypeAlias = Literal["participant", "viewer", "moderator", "organiser", "admin"]
_CHARACTERS = 100


def new_token() -> str:
    """256 random bits in 43 characters that an address can hold."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes:
    """What is kept of a token: without it, nobody can open anything with a copy of the database."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


@dataclass(frozen=True)
class Link:
    """A link, without its token.

    Attributes
    ----------
    id : str
    study_id : str or None
        None for administrators: all studies.
    role : {"participant", "viewer", "moderator", "organiser", "admin"}
    label : str
        For the organisers' eyes.
    created_at : datetime
    expires_at, revoked_at : datetime or None
    max_uses : int or None
        How many participants may join by it; None for any number.
    uses : int
    """

    id: str
    study_id: str | None
    role: Role
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    max_uses: int | None
    uses: int

    def live(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, repr=False)
class NewLink:
    """A link with its token, which nobody can find out later."""

    link: Link
    token: str

    def __repr__(self) -> str:
        return f"NewLink({self.link.role}, {self.link.id})"


class Links:
    """The links of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def create(
        self,
        *,
        study_id: str | None,
        role: Role,
        by: str,
        label: str = "",
        max_uses: int | None = None,
        expires_at: datetime | None = None,
    ) -> NewLink:
        """Make a link.

        Parameters
        ----------
        study_id : str or None
            None for administrators alone.
        role : {"participant", "viewer", "moderator", "organiser", "admin"}
        by : str
            The id of the link of whoever makes it.
        label : str
        max_uses : int, optional
            How many participants may join by it.
        expires_at : datetime, optional
            With a time zone.

        Raises
        ------
        UsageError
            Role and study, or another setting, do not fit.
        NotFoundError
            There is no such study.
        """
        at = self._clock()
        _check(study_id, role, max_uses, expires_at, at)
        token, name = new_token(), new_id()
        values = {
            "id": name,
            "study_id": study_id,
            "role": role,
            "token_digest": token_digest(token),
            "label": clean_line(label, most=_CHARACTERS, what="The label") if label.strip() else "",
            "created_at": at,
            "created_by": by,
            "expires_at": expires_at,
            "max_uses": max_uses,
            "uses": 0,
        }
        if study_id is None:
            with self._database.write() as connection:
                connection.execute(insert(tables.links).values(**values))
        else:
            with study_transaction(self._database, study_id, at) as study:
                study.connection.execute(insert(tables.links).values(**values))
                study.log(by, "link made", name, {"role": role, "max_uses": max_uses})
        return NewLink(self._one(tables.links.c.id == name), token)

    def open(self, token: str) -> Link:
        """The link of a token; opening it counts for nothing until somebody joins.

        Raises
        ------
        AccessError
            It opens nothing.
        """
        return self._live(self._one(tables.links.c.token_digest == token_digest(token)))

    def get(self, link_id: str) -> Link:
        """A link that is still live.

        Raises
        ------
        AccessError
            It opens nothing any more.
        """
        return self._live(self._one(tables.links.c.id == link_id))

    def of_study(self, study_id: str | None) -> tuple[Link, ...]:
        """The links to a study, the newest first; those of administrators for None."""
        columns = tables.links.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(tables.links).where(columns.study_id == study_id).order_by(columns.created_at.desc(), columns.id)
            )
            return tuple(_link(row) for row in rows)

    def revoke(self, link_id: str, *, by: str) -> Link:
        """Let a link open nothing any more; whoever has joined by it may go on.

        Raises
        ------
        NotFoundError
            There is no such link.
        """
        columns, at = tables.links.c, self._clock()
        with self._database.read() as connection:
            row = connection.execute(select(tables.links).where(columns.id == link_id)).one_or_none()
        if row is None:
            raise NotFoundError("There is no such link.", fix="Check its id.")
        change = update(tables.links).where(columns.id == link_id, columns.revoked_at.is_(None)).values(revoked_at=at)
        if row.study_id is None:
            with self._database.write() as connection:
                connection.execute(change)
        else:
            with study_transaction(self._database, row.study_id, at) as study:
                if study.connection.execute(change).rowcount:
                    study.log(by, "link revoked", link_id)
        return self._one(columns.id == link_id)

    def _one(self, where: Any) -> Link:
        with self._database.read() as connection:
            row = connection.execute(select(tables.links).where(where)).one_or_none()
        if row is None:
            raise closed_link()
        return _link(row)

    def _live(self, link: Link) -> Link:
        if not link.live(self._clock()):
            raise closed_link()
        return link


def closed_link() -> AccessError:
    """The error for every link that opens nothing: it does not tell why, so that nobody can try links out."""
    return AccessError("This link opens nothing.", fix="Check that it is whole, or ask the organisers for a new one.")


def take_use(connection: Connection, link: Link) -> None:
    """Count a use of a link, under the lock of its study.

    Raises
    ------
    AccessError
        It is used up.
    """
    columns = tables.links.c
    room = columns.max_uses.is_(None) | (columns.uses < columns.max_uses)
    taken = connection.execute(
        update(tables.links)
        .where(columns.id == link.id, columns.revoked_at.is_(None), room)
        .values(uses=columns.uses + 1)
    )
    if not taken.rowcount:
        raise closed_link()


def _link(row: Row[Any]) -> Link:
    names = Link.__dataclass_fields__
    return Link(**{name: getattr(row, name) for name in names})


def _check(study_id: str | None, role: str, max_uses: int | None, expires_at: datetime | None, at: datetime) -> None:
    if role not in get_args(Role):
        raise UsageError(f"There is no role {role!r}.", fix=f"Roles are {', '.join(get_args(Role))}.")
    if (study_id is None) != (role == "admin"):
        raise UsageError("Administrators' links open all studies, others one.", fix="Name a study, or no study.")
    if max_uses is not None and (role != "participant" or max_uses < 1):
        raise UsageError("Uses are counted for participants alone, from 1.", fix="Leave max_uses out.")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= at):
        raise UsageError("A link expires in the future, at a time with a time zone.", fix="Give a later time.")
