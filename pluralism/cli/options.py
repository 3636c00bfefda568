"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pluralism.errors import UsageError

__all__ = [
    "MODEL",
    "ApiKeyOption",
    "AttributeOption",
    "CacheOption",
    "ColumnOption",
    "DataArgument",
    "EncoderOption",
    "EncoderSettingOption",
    "FeaturesOption",
    "ItemsOption",
    "JsonOption",
    "KindOption",
    "LlmModelOption",
    "LlmOption",
    "LocalOption",
    "MaxPairsOption",
    "RunArgument",
    "SeedOption",
    "SupportOption",
    "UserOption",
    "number_or_auto",
    "pairs_of",
    "setting_value",
    "settings_of",
]

_DATA = "Data"
_TEXTS = "Texts and features"
MODEL = "Language model"

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Judgements: a Parquet, CSV, JSONL, Arrow or PrefLib file.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run: the folder that pluralism fit wrote.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
SupportOption = Annotated[
    Path | None,
    typer.Option("--support", help="Answers that place the users; without it users of the fit keep their place."),
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="What DATA holds: comparisons, ratings, rankings, trl, preflib or polis; left out, by its columns.",
        rich_help_panel=_DATA,
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Read COLUMN of the file as NAME, such as user=annotator; may be repeated.",
        rich_help_panel=_DATA,
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option("--user", help="Who judged, for a file without a column user.", rich_help_panel=_DATA),
]
AttributeOption = Annotated[
    str | None,
    typer.Option("--attribute", help="Which attribute of ratings to compare by.", rich_help_panel=_DATA),
]
MaxPairsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pairs",
        min=1,
        help="The most pairs made of one user's ratings, or of one ballot, drawn at random.",
        rich_help_panel=_DATA,
    ),
]
ItemsOption = Annotated[
    Path | None,
    typer.Option(
        "--items",
        help="File with the columns id and text; the data then hold ids.",
        rich_help_panel=_TEXTS,
    ),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--features",
        help="Your own features: a .npy matrix with a row for each of the items.",
        rich_help_panel=_TEXTS,
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="minilm, hash, hf:NAME, st:NAME, openai:MODEL, or none (items alone). Left out: minilm for texts.",
        rich_help_panel=_TEXTS,
    ),
]
EncoderSettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-option",
        metavar="NAME=VALUE",
        help="An option of the encoder, such as pooling=cls; may be repeated.",
        rich_help_panel=_TEXTS,
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder that keeps embeddings for later runs.", rich_help_panel=_TEXTS),
]

LlmOption = Annotated[
    str | None,
    typer.Option("--llm", metavar="URL", help="An OpenAI-compatible server, up to /v1.", rich_help_panel=MODEL),
]
LlmModelOption = Annotated[
    str | None, typer.Option("--llm-model", metavar="NAME", help="Its model.", rich_help_panel=MODEL)
]
ApiKeyOption = Annotated[
    str, typer.Option("--api-key-env", help="Environment variable that holds the key.", rich_help_panel=MODEL)
]
LocalOption = Annotated[
    str | None,
    typer.Option(
        "--local", metavar="MODEL", help="A transformers chat model, by folder or name.", rich_help_panel=MODEL
    ),
]


def pairs_of(values: Sequence[str] | None, option: str) -> dict[str, str]:
    """Read repeated ``NAME=VALUE``.

    Raises
    ------
    UsageError
        If one has no equals sign or no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in values or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or name.strip() in found:
            what = "comes twice" if name.strip() in found else "is not of the form NAME=VALUE"
            raise UsageError(f"{text!r} {what}.", where=option, fix=f"Write {option} NAME=VALUE, once for each name.")
        found[name.strip()] = value
    return found


def settings_of(values: Sequence[str] | None, option: str = "--encoder-option") -> dict[str, Any]:
    """Read repeated ``NAME=VALUE`` with values as in TOML."""
    return {name: setting_value(text) for name, text in pairs_of(values, option).items()}


def setting_value(text: str) -> Any:
    """Read a value as TOML does (a number, true, false, a quoted text, a list); anything else is a text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def number_or_auto(text: str, option: str, *, whole: bool) -> int | float | str:
    """Read ``auto`` or a number.

    Raises
    ------
    UsageError
        If it is neither, negative, or (for whole numbers) below 1.
    """
    if text == "auto":
        return text
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not math.isfinite(value) or value < (1 if whole else 0):
        allowed = "auto or a whole number of at least 1" if whole else "auto or a number of at least 0"
        raise UsageError(f"{text!r} is not possible.", where=option, fix=f"Give {allowed}.")
    return value
