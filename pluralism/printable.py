"""Other people's texts, made fit to be shown on a page or in a file."""

from __future__ import annotations

import unicodedata

__all__ = ["hidden_characters", "printable"]

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""The text without what XML and HTML cannot hold, and without controls of direction; line ends and tabs stay.

    A right-to-left override, or an isolate that is never closed, would turn around what stands after the text.

    Examples
    --------
    >>> printable("a\x00b\r\nc")
    'a�b\nc'
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c in "\n\t" or _is_sayable(c) else "\ufffd" for c in lines if c not in _BIDI_CONTROLS)


def hidden_characters(text: str) -> str:
    r"""The characters of a text that nobody sees and no writer means: controls, controls of direction, zero widths.

    Examples
    --------
    >>> hidden_characters("plain"), ascii(hidden_characters("a\u200bb\x07"))
    ('', "'\\u200b\\x07'")
    """
    # Joiners (U+200C, U+200D) are part of how some scripts and emoji are written.
    return "".join(c for c in text if c not in "\n\t\r\u200c\u200d" and unicodedata.category(c) in ("Cc", "Cf", "Cs"))


def _is_sayable(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) not in ("Cc", "Cs") and code & 0xFFFE != 0xFFFE
