"""The texts of the pages in several languages: TOML files in `translations`, one a language, with the same keys."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from pluralism.errors import UsageError

__all__ = ["DEFAULT_LANGUAGE", "Translator", "best_language", "catalogue", "languages", "native_name"]

DEFAULT_LANGUAGE = "en"


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Texts by key, such as ``card.confirm``.

    Raises
    ------
    UsageError
        There is no such language.
    """
    if language not in languages():
        raise UsageError(f"The pages are not there in {language!r}.", fix=f"They are in {', '.join(languages())}.")
    return dict(_flat(tomllib.loads((_folder() / f"{language}.toml").read_text(encoding="utf-8"))))


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages, the default one first."""
    found = {entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")}
    return (DEFAULT_LANGUAGE, *sorted(found - {DEFAULT_LANGUAGE}))


def best_language(chosen: str, accepted: str) -> str:
    """The language chosen by hand where it is there, else the first there is of an ``Accept-Language`` header.

    Examples
    --------
    >>> best_language("", "fr, de-CH;q=0.9, en;q=0.8")
    'de'
    """
    if chosen in languages():
        return chosen
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), name.partition("-")[0].lower()))
        except ValueError:
            continue
    return next((name for _, name in sorted(wanted, key=lambda pair: pair[0]) if name in languages()), DEFAULT_LANGUAGE)


def native_name(language: str) -> str:
    """What a language calls itself, where the pages are there in it, else its code."""
    return catalogue(language)["language.name"] if language in languages() else language


class Translator:
    """Says texts in one language; calling it fills the places of a text.

    Parameters
    ----------
    language : str

    Examples
    --------
    >>> Translator("de")("step.card")
    'Ihre Karte'
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = catalogue(language)

    def __repr__(self) -> str:
        return f"Translator({self.language!r})"

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def number(self, value: int) -> str:
        """A whole number as the language writes it.

        Examples
        --------
        >>> Translator("de").number(4000)
        '4.000'
        """
        return f"{value:,}".replace(",", self._texts["language.thousands"])


def _folder() -> Any:
    return files("pluralism.elicitation.web").joinpath("translations")


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found
