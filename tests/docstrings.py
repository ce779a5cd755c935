"""What the docstrings of public names hold: ``python -m tests.docstrings [module ...]``.

Public is what a public module lists in ``__all__``. For each name this asks for

- ``Args``: every parameter, by name, where there is one beside ``self``;
- ``Returns`` of a function that returns something;
- ``Raises``: where its own body, or that of ``__init__``, raises or calls an argument check;
- ``Example``: lines with ``>>>``, which the suite runs;
- ``Shape``: of layers, of their functions and initialisations, and of local plasticity;
- an equation: of what is named in ``WITH_EQUATION``;
- ``References``: of what is named in ``WITH_REFERENCE``.

Errors, aliases of types, constants and modules need one line and nothing else.
"""

import ast
import enum
import importlib
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from typing import Any

HOMES = (
    "daleml.populations",
    "daleml.signs",
    "daleml.potentials",
    "daleml.layers",
    "daleml.layers.init",
    "daleml.layers.functional",
    "daleml.layers.dynamics",
    "daleml.modules",
    "daleml.optim",
    "daleml.optim.rules",
    "daleml.analysis",
    "daleml.analysis.activity",
    "daleml.analysis.plots",
    "daleml.analysis.distributions.families",
    "daleml.neurons",
    "daleml.odes",
    "daleml.tasks",
    "daleml.learning",
    "daleml.datasets",
    "daleml.convert",
    "daleml.training",
    "daleml.callbacks",
    "daleml.checkpoint",
    "daleml.trackers",
    "daleml.weight_files",
    "daleml.experiments",
    "daleml.reproductions",
)

WITH_SHAPE = {"daleml.layers", "daleml.layers.init", "daleml.layers.functional"}

WITH_EQUATION = {
    "daleml.layers": {
        "DANNLinear",
        "DANNConv1d",
        "DANNConv2d",
        "EILinear",
        "EIRNN",
        "Readout",
        "DANNRNN",
        "EIRNNCell",
        "DANNRNNCell",
    },
    "daleml.layers.functional": None,
    "daleml.layers.dynamics": {
        "MembraneLeak",
        "RateLeak",
        "RectifiedLeak",
        "Adaptation",
        "ShortTermPlasticity",
    },
    "daleml.layers.init": {
        "exponential_",
        "lognormal_",
        "column_ei_",
        "dann_",
        "dann_iclr2021_",
        "spectral_radius_",
        "svd_spectrum_",
        "low_rank_",
        "balance_rows_",
        "lognormal_model_",
    },
    "daleml.optim": {"EG", "EGAdamW", "MirrorDescent"},
    "daleml.optim.rules": None,
    "daleml.potentials": {
        "Euclidean",
        "HyperbolicEntropy",
        "NegativeEntropy",
        "PNorm",
        "Potential",
    },
    "daleml.analysis": {
        "fit_weights",
        "compare_families",
        "goodness_of_fit",
        "confidence_intervals",
        "power_law",
        "infer_geometry",
        "regime",
        "svd_entropy",
        "effective_rank",
        "compare_to",
        "pair_test",
    },
    "daleml.analysis.activity": {
        "currents",
        "dimension",
        "fixed_points",
        "linearisation",
        "paradoxical_effect",
        "trajectory",
    },
    "daleml.analysis.distributions.families": {
        "Exponential",
        "Gamma",
        "GeneralizedGamma",
        "HalfNormal",
        "InverseGaussian",
        "LogNormal",
        "LogNormalMixture",
        "Lomax",
        "PowerLaw",
        "StretchedExponential",
        "TruncatedNormal",
        "Weibull",
    },
    "daleml.neurons": {"MorrisLecar", "MorrisLecarNetwork"},
    "daleml.odes": {"Robertson", "Spiral", "rk4", "rosenbrock"},
    "daleml.learning": {
        "Subspace",
        "PerNeuron",
        "Normalised",
        "EquilibriumPropagation",
        "HolomorphicNetwork",
        "EvolutionStrategy",
        "FeedbackAlignment",
    },
}
"""The names of a module whose docstring has an equation; None for all that it lists."""

WITH_REFERENCE = {
    "daleml.layers": {"DANNLinear", "DANNConv1d", "DANNConv2d", "EIRNN", "DANNRNN"},
    "daleml.layers.dynamics": {
        "MembraneLeak",
        "RateLeak",
        "RectifiedLeak",
        "Adaptation",
        "ShortTermPlasticity",
    },
    "daleml.layers.init": {"column_ei_", "dann_", "dann_iclr2021_", "lognormal_model_"},
    "daleml.optim": {"EG", "EGAdamW", "MirrorDescent", "param_groups"},
    "daleml.analysis": {
        "compare_families",
        "goodness_of_fit",
        "power_law",
        "infer_geometry",
        "regime",
        "svd_entropy",
    },
    "daleml.analysis.activity": {"dimension", "fixed_points", "paradoxical_effect"},
    "daleml.neurons": {"MorrisLecar", "MorrisLecarNetwork"},
    "daleml.odes": {"Robertson", "rosenbrock"},
    "daleml.learning": {
        "Subspace",
        "PerNeuron",
        "EquilibriumPropagation",
        "HolomorphicNetwork",
        "EvolutionStrategy",
        "FeedbackAlignment",
    },
}

_EQUATION = re.compile(r":math:`|\.\. math::")
_CHECKS = ("require.", "raise ")


def public() -> Iterator[tuple[str, str, Any]]:
    """Yield module, name and object of everything public; a second home of one is left out."""
    seen: set[int] = set()
    for home in HOMES:
        try:
            module = importlib.import_module(home)
        except ModuleNotFoundError:
            continue  # a part that is still to come
        for name in sorted(getattr(module, "__all__", _defined(module))):
            thing = getattr(module, name)
            is_code = inspect.isfunction(thing) or inspect.isclass(thing)
            if is_code and id(thing) not in seen:
                seen.add(id(thing))
                yield home, name, thing


def _defined(module: types.ModuleType) -> list[str]:
    """Return the names without an underscore that a module without ``__all__`` defines."""
    own = module.__name__
    named = vars(module).items()
    return [
        name
        for name, value in named
        if not name.startswith("_") and getattr(value, "__module__", "") == own
    ]


def missing(home: str, name: str, thing: Any) -> list[str]:
    """Return what the docstring of a public name lacks."""
    doc = inspect.getdoc(thing) or ""
    lacks = [] if doc and not _is_inherited(thing) else ["docstring"]
    if inspect.isclass(thing) and issubclass(thing, (BaseException, enum.Enum)):
        return lacks
    parameters = _parameters(thing)
    if parameters and not _has_fields(thing):
        args = section(doc, "Args")
        names = [one for one in parameters if not re.search(rf"\b{one}\b", args)]
        lacks += [f"Args: {', '.join(names)}"] if names else []
    if inspect.isfunction(thing) and _returns(thing) and not _says_what_it_returns(doc):
        lacks.append("Returns")
    if _raises(thing) and not section(doc, "Raises"):
        lacks.append("Raises")
    if ">>>" not in doc:
        lacks.append("Example")
    if home in WITH_SHAPE and _takes_tensors(thing) and not section(doc, "Shape"):
        lacks.append("Shape")
    if _asked(WITH_EQUATION, home, name) and not _EQUATION.search(doc):
        lacks.append("equation")
    if _asked(WITH_REFERENCE, home, name) and not section(doc, "References"):
        lacks.append("References")
    return lacks


def section(doc: str, title: str) -> str:
    """Return the text of a section of a docstring; empty if there is none."""
    found = re.search(
        rf"^{title}:[ \t]*\n((?:[ \t]+.*\n?|\s*\n)*)", doc + "\n", re.MULTILINE
    )
    return found[1] if found else ""


def _asked(table: dict[str, Any], home: str, name: str) -> bool:
    if home not in table:
        return False
    return table[home] is None or name in table[home]


def _parameters(thing: Any) -> list[str]:
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return []
    return [
        name for name in signature.parameters if name not in ("self", "args", "kwargs")
    ]


def _has_fields(thing: Any) -> bool:
    """Whether a class is a frozen result, whose fields its docstring calls attributes."""
    named = hasattr(thing, "__dataclass_fields__") or hasattr(thing, "_fields")
    return named and bool(section(inspect.getdoc(thing) or "", "Attributes"))


def _is_inherited(thing: Any) -> bool:
    return inspect.isclass(thing) and not vars(thing).get("__doc__")


def _returns(thing: Any) -> bool:
    annotation = inspect.signature(thing).return_annotation
    return annotation not in (None, "None", inspect.Signature.empty)


def _says_what_it_returns(doc: str) -> bool:
    first = doc.partition("\n")[0]
    return bool(section(doc, "Returns")) or first.startswith(
        ("Return", "Yield", "Whether")
    )


def _raises(thing: Any) -> bool:
    """Whether the body raises, or hands an argument to a check."""
    body = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    # Nobody makes a protocol: its `__init__` is one of Python's, which raises.
    if getattr(thing, "_is_protocol", False):
        return False
    # The `__init__` of a dataclass is made without source; its `__post_init__` may raise.
    if inspect.isclass(thing) and hasattr(thing, "__dataclass_fields__"):
        body = vars(thing).get("__post_init__")
    if not inspect.isfunction(body) or body.__code__.co_filename.startswith("<"):
        return False
    source = textwrap.dedent(inspect.getsource(body))
    tree = ast.parse(source)
    return any(
        isinstance(node, ast.Raise)
        or (
            isinstance(node, ast.Call) and ast.unparse(node.func).startswith("require.")
        )
        for node in ast.walk(tree)
    )


def _takes_tensors(thing: Any) -> bool:
    import torch

    if inspect.isclass(thing):
        return issubclass(thing, torch.nn.Module)
    signature = inspect.signature(thing)
    return any("Tensor" in str(one.annotation) for one in signature.parameters.values())


def main(modules: list[str]) -> None:
    """Print what is missing, and how much of each section there is."""
    count = short = 0
    for home, name, thing in public():
        if modules and not home.startswith(tuple(modules)):
            continue
        count += 1
        lacks = missing(home, name, thing)
        short += bool(lacks)
        if lacks:
            print(f"{home}.{name} ({thing.__module__}): {'; '.join(lacks)}")
    print(f"{count} public names, {short} of them lack something")


if __name__ == "__main__":
    main(sys.argv[1:])
