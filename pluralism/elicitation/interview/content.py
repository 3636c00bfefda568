"""Protocols and cases: TOML files that are shipped, copied and edited, read with errors that name file and key."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from pluralism.errors import UsageError

__all__ = [
    "Content",
    "Identifier",
    "Kind",
    "Localised",
    "WrongKey",
    "available",
    "check_ids",
    "check_languages",
    "check_places",
    "fill",
    "languages_of",
    "read_content",
    "said_in",
]

Kind: TypeAlias = Literal["protocols", "cases", "principles"]
Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
C = TypeVar("C", bound="Content")

_LANGUAGE = re.compile(r"^[a-z]{2,3}(-[A-Z]{2})?$")
_PLACE = re.compile(r"\{(\w+)\}")


def _localised(texts: dict[str, str]) -> dict[str, str]:
    for language, text in texts.items():
        if not _LANGUAGE.match(language):
            raise ValueError(f"{language!r} is no language code such as en or de")
        if not text.strip():
            raise ValueError(f"the text in {language!r} is empty")
    if not texts:
        raise ValueError("there is no text in any language")
    return {language: text.strip() for language, text in texts.items()}


Localised: TypeAlias = Annotated[dict[str, str], AfterValidator(_localised)]
"""A text in several languages, by code."""


class Content(BaseModel):
    """What all of a file's tables have in common: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digest(self) -> str:
        """SHA-256 of the content."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        document = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(document.encode()).hexdigest()


def available(kind: Kind) -> dict[str, Path]:
    """Shipped files by name."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_elicitation" / kind, package.parent / "elicitation" / kind):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def read_content(name_or_path: str | Path, kind: Kind, schema: type[C]) -> C:
    """A shipped file by name, or one of your own by path.

    Raises
    ------
    UsageError
        There is no such file, it is no TOML, or a key is missing, unknown or wrong; the error names file and key.
    """
    shipped = available(kind)
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(
            f"There is no file {str(name_or_path)!r} among the {kind}.",
            fix=f"Shipped: {', '.join(shipped)}. Or give the path of a .toml file.",
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The file is not valid TOML: {error}.", where=str(path)) from error
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        raise _explain(error, path) from None


def _explain(error: ValidationError, path: Path) -> UsageError:
    entries = error.errors(include_url=False)
    first, more = entries[0], len(entries) - 1
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    also = f" ({more} more problem{'s' * (more > 1)} in this file)" if more else ""
    cause = first.get("ctx", {}).get("error")
    key = cause.key if isinstance(cause, WrongKey) else key_of(first["loc"])
    fixes = {
        "missing": "Add this key; a shipped file of the same kind shows how.",
        "extra_forbidden": "Remove or rename this key: it is not one that is read.",
    }
    return UsageError(
        f"{said}{also}.",
        where=f"{path}: {key}",
        fix=fixes.get(first["type"], "Change this value; a shipped file of the same kind shows how."),
    )


class WrongKey(ValueError):
    """What a validator raises that looks at several keys, about one of them."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def check_ids(members: Sequence[Any], key: str) -> None:
    """Refuse an array of tables in which two have one id."""
    ids = [member.id for member in members]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise WrongKey(f"{key}[{index}].id", f"The id {name!r} is there twice")


def check_languages(wanted: Iterable[str], by_key: Mapping[str, set[str]]) -> None:
    """Refuse content in which a text is missing in one of the languages."""
    for key, languages in by_key.items():
        absent = [language for language in wanted if language not in languages]
        if absent:
            raise WrongKey(key, f"There is no text in {absent[0]!r}")


def key_of(location: Iterable[int | str]) -> str:
    """A place in a file as TOML writes it.

    Examples
    --------
    >>> key_of(("stages", 2, "question", "de"))
    'stages[2].question.de'
    """
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f"{'.' if key else ''}{part}"
    return key or "the whole file"


def languages_of(content: BaseModel, path: tuple[int | str, ...] = ()) -> dict[str, set[str]]:
    """The languages of each localised text within a table, by its key."""
    found: dict[str, set[str]] = {}
    _collect(content, path, found)
    return found


def _collect(value: Any, path: tuple[int | str, ...], found: dict[str, set[str]]) -> None:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            member = getattr(value, name)
            if any(isinstance(mark, AfterValidator) and mark.func is _localised for mark in field.metadata):
                found[key_of((*path, name))] = set(member)
            else:
                _collect(member, (*path, name), found)
    elif isinstance(value, Mapping):
        for name, member in value.items():
            _collect(member, (*path, name), found)
    elif isinstance(value, tuple | list):
        for index, member in enumerate(value):
            _collect(member, (*path, index), found)


def said_in(text: Mapping[str, str], language: str) -> str:
    """A text in one of its languages.

    Raises
    ------
    UsageError
        It does not have that language.
    """
    if language not in text:
        raise UsageError(f"There is no text in {language!r}.", fix=f"There is {', '.join(sorted(text))}.")
    return text[language]


def fill(template: str, **values: str) -> str:
    """A template with its places filled; what is filled in is not read as a template again.

    Examples
    --------
    >>> fill("About {topic}: {text}", topic="{text}", text="hello")
    'About {text}: hello'
    """
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)


def check_places(text: Mapping[str, str], allowed: Iterable[str], key: str) -> None:
    """Refuse a template with places that nothing fills."""
    names = set(allowed)
    for language, template in text.items():
        unknown = [place for place in _PLACE.findall(template) if place not in names]
        if unknown:
            there = ", ".join(sorted(names)) or "none"
            raise WrongKey(f"{key}.{language}", f"There is no place {{{unknown[0]}}} here; there is {there}")
