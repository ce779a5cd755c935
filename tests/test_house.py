"""The house stays legible: names that stand once, no circles, and lines that a person reads."""

import ast
import importlib
import pkgutil
from collections import Counter

import pytest

import daleml
from benchmarks import house
from tests import parsed_files
from tests.parsed_files import PACKAGE

PAPERS = PACKAGE / "reproductions" / "papers"
IN_EVERY_PAPER = {"networks", "experiments", "claims"}


@pytest.fixture(scope="module")
def measures():
    measures = house.Measures()
    for path in FILES.values():
        inside = path.relative_to(PACKAGE)
        text, tree = parsed_files.text(inside), parsed_files.tree(inside)
        house.add_file(measures, str(inside), text, tree)
    return measures


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_no_module_name_stands_twice():
    """But for the three files that every paper has on purpose."""
    stems = Counter()
    for path in FILES.values():
        repeats = PAPERS in path.parents and path.stem in IN_EVERY_PAPER
        if path.stem not in ("__init__", "__main__") and not repeats:
            stems[path.stem] += 1
    assert not [stem for stem, count in stems.items() if count > 1]
    assert not IN_EVERY_PAPER & set(stems)


def test_no_submodule_hides_behind_a_function_of_its_name():
    hidden = []
    for found in pkgutil.walk_packages(daleml.__path__, "daleml."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        parent, _, own = found.name.rpartition(".")
        if getattr(importlib.import_module(parent), own) is not module:
            hidden.append(found.name)
    assert not hidden


def imported_by(name):
    """Return the modules that a module imports, wherever in it and for whatever purpose."""
    found = set()
    for node in parsed_files.nodes(FILES[name].relative_to(PACKAGE)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from daleml.optim import eg` imports a module, `import EG` asks the package.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in FILES else node.module)
    return found & set(FILES)


def circles(graph):
    """Yield the groups of modules that import each other, by way of others or not."""
    import networkx

    directed = networkx.DiGraph(graph)
    for group in networkx.strongly_connected_components(directed):
        if len(group) > 1:
            yield sorted(group)


def test_no_circle_of_imports_lazy_and_typing_ones_included():
    # The top package finds `train` and `dalify` when asked: nothing inside may import it for them.
    graph = {name: imported_by(name) - {"daleml"} for name in FILES}
    assert not list(circles(graph))


MOST = {
    "mean": house.MEAN_CODE_LINE,
    "ninth_decile": house.NINTH_DECILE,
    "ternaries_per_hundred": house.TERNARIES,
    "comprehensions_per_hundred": house.COMPREHENSIONS,
}


@pytest.mark.parametrize("measure", MOST)
def test_lines_hold_one_thought(measures, measure):
    assert getattr(measures, measure) <= MOST[measure]


def test_comments_stand_where_a_stranger_would_stop(measures):
    assert measures.comments_per_hundred >= house.COMMENTS


@pytest.mark.parametrize(
    "too_long", ["long_files", "long_functions", "many_parameters", "long_lines"]
)
def test_files_functions_and_lines_are_short(measures, too_long):
    assert not getattr(measures, too_long)


def test_what_is_too_long_is_noticed(tmp_path):
    body = "\n".join(
        f"    x = {i} if x else {i}" for i in range(house.FUNCTION_LINES + 1)
    )
    names = ", ".join(f"a{i}" for i in range(house.PARAMETERS + 1))
    wide = f"y = '{'w' * house.COLUMNS}'"
    text = f"def f({names}):\n{body}\n{wide}\n" + "\n" * house.FILE_LINES
    path = tmp_path / "long.py"
    path.write_text(text)
    found = house.measure([path])
    for measure in ("long_files", "long_functions", "many_parameters", "long_lines"):
        assert len(getattr(found, measure)) == 1
    assert found.ternaries_per_hundred > house.TERNARIES
    assert found.comments_per_hundred == 0
