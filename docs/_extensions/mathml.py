"""Equations as MathML, which browsers draw by themselves: the site needs no script and no network for them."""

import re

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
# MathML stretches delimiters by itself; the converter knows no sizes.
SIZES = re.compile(r"\\[bB]igg?[lr]?(?![A-Za-z])")


def _mathml(node, as_block):
    tex = SIZES.sub("", node.astext().strip())
    try:
        return latex2mathml.tex2mathml(tex, as_block=as_block)
    except MathError as error:
        logger.warning("equation without MathML (%s): %s", error, tex, location=node)
        return f"<code>{nodes.Text(tex)}</code>"


def _inline(translator, node):
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(
        translator.starttag(node, "div", CLASS="equation") + _mathml(node, as_block=True) + "</div>\n"
    )
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer; `html_math_renderer = "mathml"` chooses it."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
