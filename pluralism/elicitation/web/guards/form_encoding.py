"""How forms are written: all of ours in UTF-8, so that nothing else has to be read."""

from __future__ import annotations

from fastapi import HTTPException, Request
from python_multipart.multipart import parse_options_header

__all__ = ["refuse_other_encodings"]


def refuse_other_encodings(request: Request) -> None:
    """Refuse a form whose sender wants it read in another encoding.

    Raises
    ------
    HTTPException
        400: its type names another encoding than UTF-8.
    """
    # The parser that forms are read with later: what it sees is what counts.
    _, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise HTTPException(400, "encoding")
