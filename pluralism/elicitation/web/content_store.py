"""Protocols and cases in the database, under the digest of their content."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from sqlalchemy import Connection, select

from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.content import Content
from pluralism.elicitation.interview.protocol import Protocol
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import insert_if_absent

__all__ = ["keep_content", "load_case", "load_protocol"]

C = TypeVar("C", bound=Content)


def keep_content(connection: Connection, content: Protocol | Case) -> str:
    """Keep a protocol or a case; its digest."""
    digest, kind = content.digest(), "protocol" if isinstance(content, Protocol) else "case"
    insert_if_absent(connection, tables.contents, digest=digest, kind=kind, document=content.model_dump_json())
    return digest


def load_protocol(connection: Connection, digest: str) -> Protocol:
    """A protocol that was kept."""
    return _parsed(Protocol, _document(connection, digest))


def load_case(connection: Connection, digest: str) -> Case:
    """A case that was kept."""
    return _parsed(Case, _document(connection, digest))


def _document(connection: Connection, digest: str) -> str:
    columns = tables.contents.c
    return connection.execute(select(columns.document).where(columns.digest == digest)).scalar_one()


@lru_cache(maxsize=64)
def _parsed(schema: type[C], document: str) -> C:
    return schema.model_validate_json(document)
