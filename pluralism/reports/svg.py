"""A matplotlib figure as SVG for a page: real text, no style attributes, no ids but those it refers to.

A page with a strict content security policy refuses `style="..."`, so styles become presentation attributes. Text
stays text, in the font of the page; what was drawn in the house's ink takes the colour of the text around it.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pluralism.reports.palette import INK
from pluralism.reports.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_to_svg"]

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_REFERENCE = re.compile(r"#([\w.-]+)")
_DECIMALS = re.compile(r"-?\d+\.\d+")
_FONT = re.compile(r"(?:(?P<style>italic|oblique)\s+)?(?:(?P<weight>bold|[1-9]00)\s+)?(?P<size>[\d.]+)px")
_DROPPED = {"font-family", "text-align", "font-stretch", "font-variant"}
# rc_context is undone in the order in which it was entered, which two threads at once would not respect.
_DRAWING = threading.Lock()


def figure_to_svg(figure: Figure, *, key: str, title: str, description: str = "", standalone: bool = False) -> str:
    """Draw a figure as an `<svg>` element.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    key : str
        Prefix of all ids, so that several figures can share a page.
    title, description : str
        What a screen reader says.
    standalone : bool
        Whether the element shall be a file of its own, with its namespace and its size.

    Returns
    -------
    str
        The same bytes for the same figure.
    """
    import matplotlib

    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _DRAWING, warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none"}):
        # the reader's browser has the glyphs that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format="svg", metadata=nothing, facecolor="none")
    root = ElementTree.fromstring(buffer.getvalue())
    _restyle(root)
    _rename(root, key)
    size = {name: root.attrib.pop(name) for name in ("width", "height")}
    for name in ("version", "role"):
        root.attrib.pop(name, None)
    said = [ElementTree.Element("title", id=f"{key}-title"), ElementTree.Element("desc", id=f"{key}-desc")]
    said[0].text, said[1].text = printable(title), printable(description)
    root[:0] = said if description else said[:1]
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc" if description else f"{key}-title")
    root.set("stroke-linejoin", "round")
    if standalone:
        root.set("xmlns", _SVG.strip("{}"))
        root.set("font-family", "sans-serif")
        root.set("color", INK)
        root.attrib.update(size)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(root: ElementTree.Element) -> None:
    """Strip namespaces, style sheets and metadata; turn style attributes into presentation attributes."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{_SVG}style", f"{_SVG}metadata"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.text = element.text if element.tag in ("text", "tspan") else None
        element.tail = None
        attributes = {name.replace(_XLINK, ""): value for name, value in element.attrib.items()}
        for declaration in _declarations(attributes.pop("style", "")):
            name, _, value = (part.strip() for part in declaration.partition(":"))
            if name == "font":
                attributes |= _font(value)
            elif name and name not in _DROPPED:
                attributes[name] = value
        for name, value in attributes.items():
            if value.lower() == INK:
                attributes[name] = "currentColor"
            elif name in ("d", "x", "y", "width", "height", "transform"):
                attributes[name] = " ".join(_DECIMALS.sub(lambda m: f"{float(m[0]):.2f}", value).split())
        element.attrib.clear()
        element.attrib.update(attributes)


def _declarations(style: str) -> list[str]:
    return [part for part in style.split(";") if part.strip()]


def _font(shorthand: str) -> dict[str, str]:
    """The font shorthand of older matplotlib as attributes."""
    match = _FONT.search(shorthand)
    if match is None:
        return {}
    parts = {"font-style": match["style"], "font-weight": match["weight"], "font-size": f"{match['size']}px"}
    return {name: value for name, value in parts.items() if value}


def _rename(root: ElementTree.Element, key: str) -> None:
    """Number the ids that are referred to, in order of appearance, and drop the others."""
    used = {name for e in root.iter() for value in e.attrib.values() for name in _REFERENCE.findall(value)}
    new: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in used:
            new[old] = f"{key}-{len(new) + 1}"
            element.set("id", new[old])
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href" or value.startswith("url("):
                element.set(name, _REFERENCE.sub(lambda m: f"#{new[m[1]]}", value))
