"""The package's files, parsed once for all tests that read its code.

Paths are those inside the package: ``tree(Path("optim/eg.py"))``.
"""

import ast
import functools
from pathlib import Path

import daleml

PACKAGE = Path(daleml.__file__).parent


@functools.cache
def text(path: Path) -> str:
    """Return what a file of the package holds."""
    return (PACKAGE / path).read_text()


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file of the package. It is shared: do not change it."""
    return ast.parse(text(path))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of a file of the package, as :func:`ast.walk` yields them."""
    return tuple(ast.walk(tree(path)))
