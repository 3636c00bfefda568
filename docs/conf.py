"""Sphinx configuration: MyST pages, the API from docstrings, the gallery from `examples/`."""

import inspect
import sys
from pathlib import Path

import pluralism

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "pluralism"
author = "The pluralism developers"
copyright = "the pluralism developers, Apache-2.0"
version = release = pluralism.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5", "gallery/*.json", "gallery/*.zip"]
templates_path = ["_templates"]
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "pluralism"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 7,
}
html_sidebars = {"index": [], "install": [], "quickstart": [], "benchmarks": []}
# Gallery thumbnails are copied under names of their own making; nothing is fetched while building.
suppress_warnings = ["config.cache"]

# A page that names an object of ours that does not exist is an error; names of other projects are not looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!pluralism\.).*"), (r"py:obj", r".*\.[A-Z]\w*T")]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # Studies of real data are shown; only `plot_*.py`, which bring their own data, run while the site is built.
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 1e9,
    "show_memory": False,
    "remove_config_comments": True,
}


def _skip_inherited_from_others(app, what, name, obj, skip, options):
    """Leave out members that a base class outside of this package brings (scikit-learn's, pydantic's)."""
    module = getattr(inspect.unwrap(obj), "__module__", "") if callable(obj) else ""
    return True if module and not module.startswith("pluralism") else None


def setup(app):
    """Connect the hooks of this site."""
    app.connect("autodoc-skip-member", _skip_inherited_from_others)
