"""How the code reads, in numbers: ``python -m benchmarks.house [folder or file ...]``.

What is counted, and the limits that ``tests/test_house.py`` holds:

- *code line*: a line that is neither blank, nor a comment alone, nor part of a docstring. Its
  length is without indentation.
- *per 100 lines*: conditional expressions and comprehensions per 100 code lines, comments per
  100 lines that are not blank.
- *function length*: lines of a function without its docstring.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daleml"

MEAN_CODE_LINE = 36
NINTH_DECILE = 75
TERNARIES = 1.8
COMPREHENSIONS = 3.0
COMMENTS = 3.0
FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 12
COLUMNS = 100

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Measures:
    """What was counted in some files."""

    files: int = 0
    filled: int = 0
    lengths: list[int] = field(default_factory=list)
    ternaries: int = 0
    comprehensions: int = 0
    comments: int = 0
    long_files: list[str] = field(default_factory=list)
    long_functions: list[str] = field(default_factory=list)
    many_parameters: list[str] = field(default_factory=list)
    long_lines: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean length of a code line, in characters."""
        return statistics.mean(self.lengths)

    @property
    def ninth_decile(self) -> int:
        """The length that nine code lines in ten do not exceed."""
        return sorted(self.lengths)[int(0.9 * len(self.lengths))]

    @property
    def ternaries_per_hundred(self) -> float:
        """Conditional expressions per 100 code lines."""
        return 100 * self.ternaries / len(self.lengths)

    @property
    def comprehensions_per_hundred(self) -> float:
        """Comprehensions per 100 code lines."""
        return 100 * self.comprehensions / len(self.lengths)

    @property
    def comments_per_hundred(self) -> float:
        """Comments per 100 lines that are not blank."""
        return 100 * self.comments / self.filled


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the Python files among and below some paths."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        else:
            yield path


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that are part of a docstring."""
    found: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        # A string after an assignment documents the name, as a docstring does.
        for child in body if isinstance(body, list) else ():
            if not isinstance(child, ast.Expr) or not isinstance(
                child.value, ast.Constant
            ):
                continue
            if isinstance(child.value.value, str):
                found.update(range(child.lineno, child.end_lineno + 1))
    return found


def measure(paths: Iterable[Path]) -> Measures:
    """Count everything in the Python files among and below some paths."""
    measures = Measures()
    for path in files_below(paths):
        text = path.read_text()
        tree = ast.parse(text)
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
        add_file(measures, name, text, tree)
    return measures


def add_file(measures: Measures, name: str, text: str, tree: ast.Module) -> None:
    """Count everything in a file that has been read and parsed."""
    _add_lines(measures, name, text, tree)
    _add_comments(measures, text)
    _add_nodes(measures, name, tree)


def _add_lines(measures: Measures, name: str, text: str, tree: ast.Module) -> None:
    lines = text.splitlines()
    prose = docstring_lines(tree)
    measures.files += 1
    if len(lines) > FILE_LINES:
        measures.long_files.append(f"{name}: {len(lines)} lines")
    for number, line in enumerate(lines, 1):
        content = line.strip()
        measures.filled += bool(content)
        if len(line) > COLUMNS:
            measures.long_lines.append(f"{name}:{number}: {len(line)} columns")
        if content and number not in prose and not content.startswith("#"):
            measures.lengths.append(len(content))


def _add_comments(measures: Measures, text: str) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    measures.comments += sum(token.type == tokenize.COMMENT for token in tokens)


def _add_nodes(measures: Measures, name: str, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        measures.ternaries += isinstance(node, ast.IfExp)
        measures.comprehensions += isinstance(node, _COMPREHENSIONS)
        if isinstance(node, _FUNCTIONS):
            _add_function(measures, name, node)


def _add_function(
    measures: Measures, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef
) -> None:
    where = f"{name}:{node.lineno}: {node.name}"
    length = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is not None:
        length -= node.body[0].end_lineno - node.body[0].lineno + 1
    if length > FUNCTION_LINES:
        measures.long_functions.append(f"{where}, {length} lines")
    given = node.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    n_parameters = len(names) - (names[:1] in (["self"], ["cls"]))
    if n_parameters > PARAMETERS:
        measures.many_parameters.append(f"{where}, {n_parameters} parameters")


def lines_of(measures: Measures) -> Iterator[str]:
    """Yield what was counted, each number beside its limit."""
    yield f"files                            {measures.files}"
    yield f"code lines                       {len(measures.lengths)}"
    yield f"mean code line                   {measures.mean:.1f}  (<= {MEAN_CODE_LINE})"
    yield f"90th percentile                  {measures.ninth_decile}  (<= {NINTH_DECILE})"
    ternaries = measures.ternaries_per_hundred
    yield f"conditional expressions per 100  {ternaries:.2f}  (<= {TERNARIES})"
    comprehensions = measures.comprehensions_per_hundred
    yield f"comprehensions per 100           {comprehensions:.2f}  (<= {COMPREHENSIONS})"
    comments = measures.comments_per_hundred
    yield f"comments per 100                 {comments:.2f}  (>= {COMMENTS})"
    for title, found in (
        (f"files above {FILE_LINES} lines", measures.long_files),
        (f"functions above {FUNCTION_LINES} lines", measures.long_functions),
        (f"above {PARAMETERS} parameters", measures.many_parameters),
        (f"lines above {COLUMNS} columns", measures.long_lines),
    ):
        yield f"{title}: {len(found)}"
        yield from (f"    {one}" for one in found)


if __name__ == "__main__":
    given = [Path(one).resolve() for one in sys.argv[1:]]
    print("\n".join(lines_of(measure(given or [PACKAGE]))))
