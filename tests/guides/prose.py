"""The prose of the project, without code: pages, scripts of tutorials, docstrings."""

import ast
import re

from tests import parsed_files
from tests.guides import written
from tests.parsed_files import PACKAGE

TUTORIALS = written.ROOT / "tutorials"
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.DOTALL | re.MULTILINE)
# A literal of reStructuredText, one of Markdown, mathematics of both, roles with their targets.
_CODE = re.compile(
    r":\w+(?::\w+)*:`[^`]*`|\{[\w:]+\}`[^`]*`|``[^`]*``|`[^`]*`|\$[^$]*\$"
)
_LINKS = re.compile(r"\]\([^)]*\)|https?://\S+|<[^>\n]*>")
_TITLES = re.compile(r"[\"“][^\"”]*[\"”]|\*[^*\n]+\*")


def of_page(text):
    """Return the prose of a page of Markdown."""
    text = re.sub(r"<!-- claims: written.*?claims: end -->", "", text, flags=re.DOTALL)
    return _plain(_FENCE.sub("", text))


def of_script(text):
    """Return the prose of a tutorial's script: the comments of its Markdown cells."""
    found = []
    for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            found += [line.removeprefix("#").strip() for line in body.splitlines()]
    # What is read further has the titles that others gave.
    return of_page("\n".join(found).partition("## Further reading")[0])


def of_docstring(text):
    """Return the prose of a docstring: no sessions, no equations, no references."""
    text = re.split(r"^References:", text, flags=re.MULTILINE)[0]
    kept = []
    in_session = False
    for line in text.splitlines():
        # What a session prints ends at an empty line.
        in_session = line.strip().startswith(">>>") or (
            in_session and bool(line.strip())
        )
        if not in_session and "\\" not in line and "code-block" not in line:
            # The name of an argument is code.
            kept.append(re.sub(r"^\s*\*{0,2}\w+: ", " ", line))
    return _plain("\n".join(kept))


def _plain(text):
    return _LINKS.sub(" ", _CODE.sub(" ", text))


def without_titles(text):
    """Leave out what is quoted or set in italics, such as titles of papers."""
    return _TITLES.sub(" ", text)


def everything():
    """Yield the name and the prose of every text."""
    for name in ("README.md", "CONTRIBUTING.md"):
        yield name, of_page((written.ROOT / name).read_text())
    for page in written.pages():
        yield str(page.relative_to(written.ROOT)), of_page(page.read_text())
    for script in sorted(TUTORIALS.glob("[0-9]*.py")):
        yield script.name, of_script(script.read_text())
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE.parent)), of_module(path)


def of_module(path):
    """Return the prose of all docstrings of a module."""
    found = []
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in parsed_files.nodes(path.relative_to(PACKAGE)):
        if isinstance(node, kinds):
            found.append(of_docstring(ast.get_docstring(node) or ""))
    return "\n".join(found)
