"""No tool recognises a layer by itself: the package's code is read for what only the one table may do."""

import ast
import inspect
from pathlib import Path

import pytest
from torch import nn

from tests import parsed_files
from tests.test_walls import modules

TABLE = "_torch_table.py"
TOOLS = {
    "layers",
    "optim",
    "analysis",
    "learning",
    "convert",
    "trackers",
    "signs",
    "law",
    "training",
    "modules",
}
"""Homes of what is given a stranger's model. Demo and reproductions build their own."""

CONTAINERS = {"Module", "Parameter", "Sequential", "ModuleDict", "ModuleList"}
LAYERS = {
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value) and issubclass(value, nn.Module)
}
LAYERS |= {"RNNBase", "_NormBase"}
LAYERS -= CONTAINERS
OURS = {
    f"{kind}{name}"
    for kind in ("EI", "DANN")
    for name in ("Linear", "Conv1d", "Conv2d", "RNN", "RNNCell")
}  # fmt: skip


def is_layer_class(node):
    """Whether an expression names a class of layers, torch's or daleml's."""
    name = (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ""
    )
    of_torch = isinstance(node, ast.Attribute) and ast.unparse(node).startswith(
        ("nn.", "torch.nn.")
    )
    return (of_torch and name in LAYERS) or name in OURS


def is_of_a_type(node):
    """Whether an expression is a class's name or its module's."""
    return isinstance(node, ast.Attribute) and node.attr in (
        "__name__",
        "__qualname__",
        "__module__",
    )


def recognitions(nodes):
    """Yield the places where code asks what class a layer is."""
    for node in nodes:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("isinstance", "issubclass") and any(
                map(is_layer_class, ast.walk(node.args[1]))
            ):
                yield node
            of_text = isinstance(node.func, ast.Attribute) and node.func.attr in (
                "startswith",
                "endswith",
                "partition",
            )
            if of_text and any(map(is_of_a_type, ast.walk(node.func.value))):
                yield node
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            if len(node.elts) > 1 and all(is_layer_class(one) for one in node.elts):
                yield node
        elif isinstance(node, ast.Dict):
            if any(key is not None and is_layer_class(key) for key in node.keys):
                yield node
        elif isinstance(node, ast.Compare) and any(
            is_of_a_type(one) or is_layer_class(one)
            for one in (node.left, *node.comparators)
        ):
            yield node


def tools():
    return [path for path in modules() if path.parts[0].removesuffix(".py") in TOOLS]


@pytest.mark.parametrize("path", tools(), ids=str)
def test_no_tool_recognises_a_layer_by_its_class(path):
    found = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for node in recognitions(parsed_files.nodes(path))
    ]
    assert not found, f"ask daleml.modules instead: {found}"


def test_the_table_itself_would_be_seen():
    assert len(list(recognitions(parsed_files.nodes(Path(TABLE))))) >= 4


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(m, nn.Linear)",
        "isinstance(m, (nn.Module, torch.nn.Conv2d))",
        "issubclass(type(m), EILinear)",
        "KNOWN = (nn.RNN, nn.GRU)",
        "KNOWN = {nn.RNN: 1}",
        "'DANN' in type(m).__name__",
        "type(m).__module__.startswith('daleml')",
        "type(m).__module__.partition('.')[0] == 'daleml'",
        "type(m) is nn.ReLU",
    ],
)
def test_every_way_of_recognising_would_be_seen(line):
    assert list(recognitions(ast.walk(ast.parse(line))))


def private(nodes):
    """Return the private attributes that a file's classes set, and those that it reads of other things, by line."""
    own, read = set(), {}
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            own.add(node.name)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        if not (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
        ):
            continue
        of_itself = isinstance(node.value, ast.Name) and node.value.id in (
            "self",
            "cls",
        )
        if of_itself:
            own.add(node.attr)
        else:
            read.setdefault(node.attr, node.lineno)
    return own, read


def test_nobody_reads_a_private_attribute_of_another_package():
    own, read = {}, []
    for path in modules():
        home = path.parts[0].removesuffix(".py")
        mine, others = private(parsed_files.nodes(path))
        own.setdefault(home, set()).update(mine)
        read += [(home, path, name, line) for name, line in others.items()]
    found = [
        f"{path}:{line}: {name}"
        for home, path, name, line in read
        if name not in own[home]
        and any(name in names for other, names in own.items() if other != home)
    ]
    of_others = {
        *vars(nn.Module()),
        "_version",
        "_asdict",
        "_fields",
        "_make",
        "_replace",
        "_indices",
    }  # torch's, and named tuples'
    assert not [one for one in found if one.rpartition(" ")[2] not in of_others], found


def reads_a_message(nodes):
    """Yield the places where what code does hangs on the words of an error."""
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler)}

    def is_message(node):
        of_text = (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "str"
            and len(node.args) == 1
        )
        return (
            of_text and isinstance(node.args[0], ast.Name) and node.args[0].id in caught
        )

    for node in nodes:
        if isinstance(node, ast.Compare) and any(
            map(is_message, (node.left, *node.comparators))
        ):
            yield node
        called = (
            node.func
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            else None
        )
        asks = called is not None and called.attr in (
            "startswith",
            "endswith",
            "find",
            "count",
        )
        if asks and is_message(called.value):
            yield node


@pytest.mark.parametrize("path", modules(), ids=str)
def test_no_code_reacts_to_the_words_of_an_error(path):
    found = [ast.unparse(node) for node in reads_a_message(parsed_files.nodes(path))]
    assert not found, f"{path}: give the error a type: {found}"


@pytest.mark.parametrize(
    "line", ["'x' in str(e)", "str(e).startswith('x')", "str(e) == 'x'"]
)
def test_every_way_of_reacting_to_words_would_be_seen(line):
    tree = ast.parse(f"try: pass\nexcept ValueError as e: {line}")
    assert list(reads_a_message(list(ast.walk(tree))))
