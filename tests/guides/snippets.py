"""Snippets of pages: the blocks of Python with what they print, run one after the other."""

import contextlib
import doctest
import importlib.util
import io
import re
import shlex
from dataclasses import dataclass

import pytest

# A block may be marked as not run, with the reason, and is then only compiled.
_FENCES = re.compile(
    r"(?P<mark><!-- not run: [^>]+ -->\n)?```python\n(?P<code>.*?)```\n"
    r"(?:\n```text\n(?P<printed>.*?)```\n)?",
    re.DOTALL,
)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
_OPTIONAL = (
    "lightning",
    "accelerate",
    "skorch",
    "optuna",
    "tensorboard",
    "onnx",
    "onnxscript",
    "distributed",
    "submitit",
)
# Numbers of other processors differ in their last digits.
_CLOSE = 0.01


@dataclass(frozen=True)
class Block:
    """A block of Python: its code, what the page says that it prints, and whether it is run."""

    code: str
    printed: str
    is_run: bool


def blocks_of(text):
    """Return the blocks of a page, in order."""
    found = []
    for match in _FENCES.finditer(text):
        printed = match["printed"] or ""
        found.append(Block(match["code"], printed, match["mark"] is None))
    return found


def commands_of(text):
    """Return the lines of a page that call ``daleml``, split as a shell does."""
    found = []
    for block in _CONSOLE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ daleml "):
                found.append(shlex.split(line, comments=True)[2:])
    return found


def skip_without_extras(text):
    """Skip the test if a page shows a package that is not installed."""
    for name in _OPTIONAL:
        imported = re.search(rf"^(?:import|from) {name}\b", text, re.MULTILINE)
        if imported and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def run(text, name):
    """Run the blocks of a page in one namespace, compare what they print, and return it."""
    namespace = {"__name__": "__main__"}
    for block in blocks_of(text):
        compiled = compile(block.code, name, "exec")
        if not block.is_run:
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compiled, namespace)
        assert same(block.printed, out.getvalue()), (
            f"{name} says\n{block.printed}\nand the code prints\n{out.getvalue()}"
        )
    return namespace


def same(expected, printed):
    """Whether a text is what was printed; ``...`` stands for anything, and numbers for near ones."""
    if "..." in expected:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return doctest.OutputChecker().check_output(expected, printed, flags)
    ours, theirs = _tokens(expected), _tokens(printed)
    return len(ours) == len(theirs) and all(map(_near, ours, theirs))


def _tokens(text):
    # A number with its sign, or a run of other marks.
    return re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|[^\s\d]+", text)


def _near(one, other):
    if one == other:
        return True
    try:
        a, b = (float(token.replace(",", "")) for token in (one, other))
    except ValueError:
        return False
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b))
