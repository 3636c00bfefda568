from __future__ import annotations

import re
import threading
from xml.etree import ElementTree

import matplotlib
import pytest

from pluralism.reports import GroupsDisplay, ReliabilityDisplay
from pluralism.reports.palette import INK

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style>]]>&lt;",
    "javascript:alert(1)",
    "a\x00\x08b",
]


def elements(svg):
    return list(ElementTree.fromstring(svg).iter())


def attributes(svg):
    return [(e.tag, name, value) for e in elements(svg) for name, value in e.attrib.items()]


@pytest.fixture
def display():
    return GroupsDisplay([0.6, 0.4], names=["tea", "coffee"]).plot()


def test_no_styles_no_metadata_no_scripts(display):
    svg = display.to_svg(key="k", standalone=False)
    assert {e.tag for e in elements(svg)} <= {
        *("svg", "title", "desc", "g", "path", "text", "tspan", "defs", "clipPath", "rect", "use"),
    }
    assert not [name for _, name, _ in attributes(svg) if name == "style" or name.startswith("on") or ":" in name]
    assert "http" not in svg


def test_ids_have_the_prefix_and_all_references_are_to_them(display):
    svg = display.to_svg(key="k", standalone=False)
    ids = [value for _, name, value in attributes(svg) if name == "id"]
    references = [m for _, name, v in attributes(svg) if name != "id" for m in re.findall(r"#([\w-]+)", v) if "k-" in v]
    labelled = next(v for _, name, v in attributes(svg) if name == "aria-labelledby").split()
    assert len(set(ids)) == len(ids) and all(name.startswith("k-") for name in ids)
    assert references and set(references) | set(labelled) == set(ids)


def test_text_stays_text_in_the_colour_of_the_page(display):
    svg = display.to_svg(key="k", title="Sizes", standalone=False)
    texts = [e for e in elements(svg) if e.tag == "text"]
    assert {"tea", "coffee", "60\u00a0%"} <= {e.text for e in texts}
    assert all("font-size" in e.attrib for e in texts)
    assert INK not in svg.lower() and "currentColor" in svg
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img" and root.find("title").text == "Sizes"
    assert root.find("desc").text == display.describe()


def test_a_file_of_its_own_is_a_valid_svg(display):
    root = ElementTree.fromstring(display.to_svg())
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.attrib["width"].endswith("pt")
    assert display._repr_svg_() == display.to_svg()


def test_hostile_names_are_text():
    svg = GroupsDisplay([0.2] * 5, names=HOSTILE).to_svg(key="k", standalone=False)
    assert not {e.tag for e in elements(svg)} & {"script", "img", "image", "style", "a", "foreignObject"}
    shown = {e.text for e in elements(svg) if e.tag == "text"}
    assert "<script>alert(1)</scri…" in shown or any(t and t.startswith("<script>") for t in shown)


def test_other_scripts_and_formulas_are_drawn_without_a_warning():
    names = ["$\\frac{1}{2}$", "日本語 😀", "العربية"]
    svg = GroupsDisplay([0.5, 0.3, 0.2], names=names).to_svg()
    shown = {e.text for e in elements(svg)}
    assert set(names) <= shown


def test_the_same_figure_gives_the_same_bytes():
    made = [GroupsDisplay([0.6, 0.4]).to_svg(key="k") for _ in range(2)]
    assert made[0] == made[1]


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    drawn: list[str] = []

    def draw():
        drawn.append(ReliabilityDisplay.from_predictions([0.6, 0.9, 0.2], [1, 1, 0], n_bins=5).to_svg(key="k"))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(matplotlib.rcParams) == before
    assert len(drawn) == 4 and len(set(drawn)) == 1
