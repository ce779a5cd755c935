"""Docstrings render, and those of public names hold what :mod:`tests.docstrings` asks for."""

import ast
import re

import pytest

from tests import docstrings, parsed_files
from tests.parsed_files import PACKAGE

FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def of_file(path):
    """Yield every docstring of a file, with the line on which its owner begins."""
    for node in parsed_files.nodes(path):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


@pytest.fixture(scope="module")
def complaints():
    """A function that returns what docutils says of a docstring, as the pages read it."""
    pytest.importorskip("sphinx", reason="the pages are built by it")
    from docutils import nodes
    from docutils.core import publish_doctree
    from docutils.parsers.rst import roles
    from sphinx.ext.napoleon import Config, GoogleDocstring

    def plain(name, rawtext, text, lineno, inliner, options=None, content=None):
        return [nodes.literal(rawtext, text)], []

    for name in ("func", "class", "meth", "mod", "attr", "obj", "exc", "data", "doc"):
        roles.register_local_role(name, plain)
    config = Config(napoleon_use_ivar=True, napoleon_custom_sections=["Shape"])
    # Made once: docutils would gather them from all its parts for each docstring anew.
    strict = {"report_level": 2, "halt_level": 5, "warning_stream": False}
    settings = publish_doctree("", settings_overrides=strict).settings

    def said(text):
        lines = str(GoogleDocstring(text, config))
        found = []
        tree = publish_doctree(lines, settings=settings)
        for message in tree.findall(nodes.system_message):
            if message["level"] >= 2:
                found.append(message.astext())
        return found

    return said


@pytest.mark.parametrize("path", FILES, ids=str)
def test_docstrings_render(path, complaints):
    for line, text in of_file(path):
        # A table, emphasis or a substitution that is broken can only come from these.
        if re.search(r"[|*_`=]", text):
            assert not complaints(text), f"{path}:{line}"


def test_a_docstring_that_does_not_render_is_noticed(complaints):
    assert complaints("Weights of shape (n, *size) and magnitudes |w| of them.")
    assert not complaints("Weights of shape ``(n, *size)`` and magnitudes ``|w|``.")


PUBLIC = list(docstrings.public())


def test_public_names_are_found():
    found = {f"{home}.{name}" for home, name, _ in PUBLIC}
    assert len(found) > 250
    assert {"daleml.layers.EIRNN", "daleml.optim.EG", "daleml.signs.check"} <= found


def test_what_is_missing_is_noticed():
    def bare(weights, family):
        """Fit a family."""
        raise ValueError(weights, family)

    lacks = docstrings.missing("daleml.analysis", "fit_weights", bare)
    assert lacks == ["Args: weights, family", "Raises", "Example", "equation"]

    def whole(weights):
        r"""Return :math:`\sum w`.

        Args:
            weights: Numbers.

        Raises:
            ValueError: Always.

        Example:
            >>> 1
            1
        """
        raise ValueError(weights)

    assert docstrings.missing("daleml.analysis", "fit_weights", whole) == []


def test_public_names_say_what_a_stranger_needs():
    lacking = {}
    for home, name, thing in PUBLIC:
        lacks = docstrings.missing(home, name, thing)
        if lacks:
            lacking[f"{home}.{name}"] = lacks
    assert not lacking
