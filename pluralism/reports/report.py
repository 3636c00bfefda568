"""The report: plain values, plots, and the one page made of them."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import UsageError
from pluralism.files import atomic_write
from pluralism.reports.page import render_page

if TYPE_CHECKING:
    from pluralism.reports.display import Display

__all__ = ["Report"]

SCHEMA_VERSION = 1


class Report:
    """What a model says of the people behind the data, and how far to trust it; made by `build_report`.

    Parameters
    ----------
    title : str
    content : mapping of str to plain values
        By part: `summary`, `data_check`, `groups`, `likes`, `covariates`, `agreement`, `certainty`, `accuracy`,
        `few_shot`, `selection`, `settings`. A part that could not be made says why under `missing`.
    displays : mapping of str to Display
        The plots, by name.
    """

    template: ClassVar[str] = "report.html.j2"

    def __init__(self, title: str, content: Mapping[str, Any], displays: Mapping[str, Display]) -> None:
        self.title = " ".join(title.split()) or "Report"
        self.content, self.displays = dict(content), dict(displays)

    def to_html(self) -> str:
        """One self-contained page: no script, no request, its style allowed by its hash alone.

        The same report gives the same bytes.
        """
        return render_page(self.title, self.content, self.displays, self.template)

    def to_json(self, *, indent: int | None = None) -> str:
        """All numbers and texts of the page as strict JSON."""
        document = {"schema_version": SCHEMA_VERSION, "title": self.title, **self.content}
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)

    def write(self, path: str | Path) -> Path:
        """Write the page (.html, .htm) or the numbers (.json), whole or not at all.

        Raises
        ------
        UsageError
            If the file has another suffix.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in (".html", ".htm", ".json"):
            raise UsageError(f"A report cannot be written as {path.name!r}.", fix="Use the suffix .html or .json.")
        atomic_write(path, self.to_json(indent=1) + "\n" if suffix == ".json" else self.to_html())
        return path

    def __repr__(self) -> str:
        said = self.content["summary"]
        return "\n".join([f"{self.title}: {said['headline']}", *(f"- {line}" for line in said["sentences"])])

    def _repr_html_(self) -> str:
        page = html.escape(self.to_html(), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="" width="100%" height="800" title="{html.escape(self.title)}"></iframe>'
        )
