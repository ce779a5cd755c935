"""The house keeps its shape: who imports whom, what is public, how quickly it opens."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import daleml
from tests import parsed_files
from tests.parsed_files import PACKAGE

BELOW = {
    "_signs",
    "_sparse_weights",
    "_support",
    "law",
    "modules",
    "populations",
    "potentials",
    "reading",
    "require",
    "signs",
}
WINGS = {"layers", "optim", "analysis", "datasets", "tasks", "neurons", "odes"}
MAY_IMPORT = {
    "require": set(),
    "_support": {"require"},
    "__main__": {"cli"},
    "reading": {"_support", "require"},
    "populations": {"_support", "require"},
    "potentials": {"require"},
    "_law_report": set(),
    "_sparse_matrices": set(),
    "_sparse_weights": {"_sparse_matrices"},
    "_kept_otherwise": set(),
    "_sparse_law": {"_law_report", "_sparse_weights"},
    "law": {"_law_report", "_sparse_law", "_sparse_weights"},
    "_torch_table": {"populations"},
    "_layer_protocol": {"_torch_table"},
    "modules": {
        "_kept_otherwise",
        "_layer_protocol",
        "_sparse_weights",
        "_support",
        "_torch_table",
    },
    "_signs": {"_sparse_weights", "_support", "law", "modules", "populations"},
    "signs": {
        "_signs",
        "_sparse_weights",
        "_support",
        "law",
        "populations",
        "require",
    },
    **dict.fromkeys(WINGS, BELOW),
    "trackers": BELOW | WINGS,
    "callbacks": BELOW,
    "convert": BELOW | WINGS,
    "experiments": BELOW | WINGS | {"trackers", "_training"},
    "_saving": BELOW,
    "_training": BELOW | WINGS | {"trackers", "callbacks", "checkpoint", "_saving"},
    "checkpoint": BELOW | {"_saving"},
    "training": BELOW
    | WINGS
    | {"trackers", "callbacks", "checkpoint", "_saving", "_training"},
    "weight_files": BELOW | {"analysis"},
    "learning": BELOW | WINGS | {"trackers", "training"},
    "demo": BELOW | WINGS | {"reproductions", "trackers", "training", "pages"},
    "reproductions": BELOW
    | WINGS
    | {"learning", "experiments", "trackers", "training"},
    "weight_study": BELOW | WINGS | {"weight_files"},
    "pages": BELOW | WINGS | {"weight_study", "reproductions"},
    "cli": BELOW
    | WINGS
    | {
        "experiments",
        "reproductions",
        "weight_files",
        "pages",
        "demo",
        "weight_study",
        "training",
        "trackers",
    },
}


def modules():
    return sorted(
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" or path.parent != PACKAGE
    )


def imports(path, *, top_level=False):
    nodes = parsed_files.tree(path).body if top_level else parsed_files.nodes(path)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_go_one_way(path):
    home = path.parts[0].removesuffix(".py")
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "daleml" or len(parts) < 2 or parts[1] == home:
            continue
        target = parts[1]
        if target in ("Populations", "__version__"):
            continue
        assert target in MAY_IMPORT[home], f"{path} may not import daleml.{target}"


def test_only_plots_imports_matplotlib_and_only_when_called():
    drawn = set()
    for path in modules():
        drawing = {name.split(".")[0] for name in imports(path)} & {
            "matplotlib",
            "seaborn",
        }
        if path.parent != Path("analysis/plots"):
            if not drawing:
                continue
            nodes = parsed_files.nodes(path)
            guarded = [
                n
                for n in nodes
                if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
            ]
            typing_only = {ast.unparse(child) for n in guarded for child in n.body}
            used = {
                ast.unparse(n)
                for n in nodes
                if isinstance(n, (ast.Import, ast.ImportFrom))
            } - typing_only
            assert not any(
                "matplotlib" in line or "seaborn" in line for line in used
            ), path
        else:
            drawn |= drawing
            assert not {
                name.split(".")[0] for name in imports(path, top_level=True)
            } & {"matplotlib", "seaborn"}
    # Seaborn takes as long to import as a small fit takes to run.
    assert drawn == {"matplotlib"}


LIGHT = """
import json, sys
import torch
before = set(sys.modules)
import daleml, daleml.layers, daleml.optim, daleml.analysis, daleml.datasets, daleml.tasks
added = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(added)))
"""


def test_importing_loads_nothing_heavy():
    run = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True
    )
    heavy = {
        "pandas",
        "scipy",
        "matplotlib",
        "seaborn",
        "sklearn",
        "networkx",
        "safetensors",
        "rich",
        "typer",
    }
    assert not heavy & set(json.loads(run.stdout))


def test_the_top_is_small_and_documented():
    assert len(daleml.__all__) <= 15
    assert all(hasattr(daleml, name) for name in daleml.__all__)
    assert "(post, pre)" in daleml.__doc__
    with pytest.raises(
        AttributeError, match="module 'daleml' has no attribute 'nonsense'"
    ):
        _ = daleml.nonsense


def test_public_functions_are_documented_with_their_arguments():
    """What is exported says what its arguments are; the linter checks that a docstring is there at all."""
    import inspect

    import daleml.analysis
    import daleml.datasets
    import daleml.layers
    import daleml.learning
    import daleml.optim
    import daleml.tasks
    import daleml.training

    wings = (
        daleml.layers,
        daleml.optim,
        daleml.analysis,
        daleml.datasets,
        daleml.tasks,
    )
    for home in (*wings, daleml.learning, daleml.signs, daleml.training):
        for name in getattr(home, "__all__", ["fix", "check", "train", "Shuffled"]):
            thing = getattr(home, name, None)
            if not inspect.isfunction(thing) and (
                not inspect.isclass(thing) or issubclass(thing, Exception)
            ):
                continue
            doc = inspect.getdoc(thing)
            parameters = [p for p in inspect.signature(thing).parameters if p != "self"]
            if (
                inspect.isfunction(thing)
                and len(parameters) > 1
                and "See :func:" not in doc
            ):
                assert "Args:" in doc, name
                assert all(f"{parameter}:" in doc for parameter in parameters), name


def test_version_is_one():
    import tomllib

    root = PACKAGE.parent
    if not (root / "pyproject.toml").exists():
        pytest.skip("an installed package has no pyproject.toml")
    assert (
        tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
        == daleml.__version__
    )
    import yaml

    from daleml.reproductions import papers

    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert citation["version"] == daleml.__version__
    assert len(citation["references"]) == len(papers.FOLDERS)
