"""Remedies that the library words for Python, worded for the command line."""

from __future__ import annotations

import re
import shlex

__all__ = ["as_options"]

_OPTIONS = {
    "attribute": "--attribute",
    "cache": "--cache",
    "columns": "--column",
    "covariates": "--covariate",
    "encoder": "--encoder",
    "features": "--features",
    "items": "--items",
    "kind": "--kind",
    "max_pairs_per_ballot": "--max-pairs",
    "max_pairs_per_user": "--max-pairs",
    "n_groups": "--groups",
    "ridge": "--ridge",
    "ties": "--ties",
    "user": "--user",
}
_VALUE = r"(?:'([^']*)'|\"([^\"]*)\"|([\w.]*\w|\.\.\.))?"
_PAIR = re.compile(r"'([^']*)': '([^']*)'")
_KEYWORD = re.compile(rf"columns=\{{([^}}]*)\}}|(?<![\w.-])({'|'.join(_OPTIONS)})={_VALUE}")


def as_options(text: str) -> str:
    """Turn keyword arguments into options.

    Examples
    --------
    >>> as_options("If one user made all judgements, pass user='all'.")
    'If one user made all judgements, pass --user all.'
    >>> as_options("The column holds texts, not ids: leave out items=, or write the ids into the column.")
    'The column holds texts, not ids: leave out --items, or write the ids into the column.'
    """

    def option(match: re.Match[str]) -> str:
        columns, name, *values = match.groups()
        if name is None:
            return " ".join(
                f"--column {shlex.quote(f'{wanted}={actual}')}" for wanted, actual in _PAIR.findall(columns)
            )
        return f"{_OPTIONS[name]} {next(filter(None, values), '')}".rstrip()

    return _KEYWORD.sub(option, text)
