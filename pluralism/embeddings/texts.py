"""The texts that an encoder is given: real strings that UTF-8 can hold."""

from __future__ import annotations

from collections.abc import Iterable

from pluralism.errors import DataError, UsageError

__all__ = ["as_texts"]


def as_texts(texts: Iterable[str]) -> list[str]:
    """Turn any column of texts into a list, or say which row is no text.

    Parameters
    ----------
    texts : iterable of str
        List, Arrow or NumPy array, frame column. Byte for byte: nothing is normalised.

    Raises
    ------
    UsageError
        One bare string.
    DataError
        A row that is null, no string, or holds half of a surrogate pair.
    """
    if isinstance(texts, str | bytes):
        raise UsageError("A list of texts is needed, and one bare string was given.", fix="Pass [text].")
    column = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    if set(map(type, column)) - {str}:
        for row, text in enumerate(column):
            if not isinstance(text, str):
                raise DataError(
                    f"A text is needed, and {text!r} was given.", where=f"texts[{row}]", fix="Drop or fill that row."
                )
        column = [str(text) for text in column]
    try:
        "".join(column).encode()
    except UnicodeEncodeError as cause:
        row = next(row for row, text in enumerate(column) if any("\ud800" <= letter <= "\udfff" for letter in text))
        raise DataError(
            "A text holds half of a surrogate pair, which no encoder can read.",
            where=f"texts[{row}]",
            fix="Decode the source as UTF-8 (or with errors='replace') and read it again.",
        ) from cause
    return column
