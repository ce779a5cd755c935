"""The glossary and the table of symbols: every name exists, and every verdict is defined."""

import ast
import enum
import importlib
import inspect
import re

import pytest
import torch

from daleml import Populations, layers, signs
from daleml.analysis.plasticity import rich_lazy
from daleml.reproductions import verdict
from tests import parsed_files
from tests.guides import written
from tests.parsed_files import PACKAGE

GLOSSARY = written.glossary()


@pytest.mark.parametrize("page", written.pages(), ids=lambda path: path.stem)
def test_links_to_names_and_terms_are_met(page):
    text = page.read_text()
    for target in written.objects(text):
        assert written.resolve(target) is not None, f"{page.name}: {target}"
    for term in written.terms_used(text):
        assert term in GLOSSARY, f"{page.name}: {term}"


def test_every_term_is_defined_in_sentences():
    assert len(GLOSSARY) > 120
    for term, definition in GLOSSARY.items():
        assert definition.strip().endswith((".", ").")), term


# -- verdicts --------------------------------------------------------------------------------------

# Enums whose values are shown to readers, and whose names do not end in "Verdict".
KINDS = ("Kind", "Stability", "PointKind")
# A kind of parameter of a family is a description and not a verdict.
NO_VERDICTS = {"analysis.distributions.families.parameter_kinds"}


def enums():
    """Yield the enums of the package that hold verdicts."""
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        module = ".".join(inside.with_suffix("").parts)
        # To walk through every file would take seconds.
        if "Enum)" not in parsed_files.text(inside):
            continue
        for node in parsed_files.nodes(inside):
            if not isinstance(node, ast.ClassDef) or module in NO_VERDICTS:
                continue
            is_verdict = node.name.endswith("Verdict") or node.name in KINDS
            bases = [ast.unparse(base).split(".")[-1] for base in node.bases]
            if is_verdict and {"Enum", "StrEnum"} & set(bases):
                yield getattr(importlib.import_module(f"daleml.{module}"), node.name)


def test_every_verdict_is_in_the_glossary():
    found = list(enums())
    assert len(found) >= 7
    for kind in found:
        assert issubclass(kind, enum.Enum)
        for member in kind:
            assert member.value in GLOSSARY, f"{kind.__name__}: {member.value}"
    for said in (
        verdict.HOLDS,
        verdict.FAILS,
        verdict.CANNOT_TELL,
        verdict.NOT_TESTED,
    ):
        assert said in GLOSSARY


def test_verdicts_on_the_law_are_in_the_glossary():
    layer = layers.EILinear(Populations(2, 1), 3)
    lawful = str(signs.check(torch.nn.Sequential(layer, torch.nn.Linear(3, 3))))
    with torch.no_grad():
        layer.weight.fill_(1)
    broken = str(signs.check(layer))
    for said, text in (
        ("Dale's law holds", lawful),
        ("not under the law", lawful),
        ("Dale's law is broken", broken),
    ):
        assert said in text
        assert said in GLOSSARY


def test_verdicts_on_fits_are_in_the_glossary():
    from daleml.analysis import GoodnessOfFit

    for p_value, n_boot, unjudged, said in (
        (0.5, 100, "", "could be drawn from it"),
        (0.02, 100, "", "are not drawn from it"),
        (float("nan"), 0, "all are equal", "not judged"),
    ):
        test = GoodnessOfFit("gamma", 0.1, p_value, n_boot, unjudged)
        assert said in str(test)
        assert said in GLOSSARY


def test_words_that_pages_of_results_explain_are_in_the_glossary():
    from daleml.pages import page_words

    for name, meanings in vars(page_words).items():
        if name.startswith("OF_"):
            for word in meanings:
                assert word in GLOSSARY, f"{name}: {word}"


def test_bounds_in_definitions_are_those_of_the_code():
    from daleml.analysis.activity import initial_report
    from daleml.analysis.distributions.p_values import LEVEL

    assert f"{rich_lazy.RICH:g} or less" in GLOSSARY["rich"]
    assert f"{rich_lazy.LAZY:g} or more" in GLOSSARY["lazy"]
    for alignment, said in (
        (0.4, "rich"),
        (0.95, "lazy"),
        (0.7, "between rich and lazy"),
    ):
        regime = rich_lazy.Regime(1, 0.3, 0.8, alignment, 9, 9, ("w",), "h")
        assert regime.conclusion().lower().startswith(said)
    assert f"{initial_report.SILENT_RATE:g}" in GLOSSARY["silent"]
    assert (
        f"{initial_report.SILENT_FRACTION:.0%}".replace("%", " %") in GLOSSARY["silent"]
    )
    for term in ("as good", "goodness of fit", "differ"):
        assert f"{LEVEL:g}" in GLOSSARY[term], term


# -- symbols ---------------------------------------------------------------------------------------


def rows_of_symbols():
    """Yield of every row: the symbol, the cell of code, and the last names that were linked to."""
    owners = []
    for line in (written.DOCS / "symbols.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if (
            not line.startswith("|")
            or len(cells) != 5
            or cells[0].startswith(("--", "symbol"))
        ):
            continue
        owners = (owners + written.objects(cells[2]))[-2:]
        yield cells[0].strip("| "), cells[2], owners


EXAMPLES = {
    "daleml.layers.EILinear": lambda: layers.EILinear(Populations(2, 1), 2),
    "daleml.layers.DANNLinear": lambda: layers.DANNLinear(3, 2, shunting=True),
    "daleml.layers.EIRNN": lambda: layers.EIRNN(
        2, Populations(2, 1), dt_ms=1, tau_ms=10, noise=0.1
    ),
}


def knows(target, name):
    """Whether something has an attribute, field, parameter or state of a name."""
    thing = written.resolve(target)
    if hasattr(thing, name) or name in getattr(thing, "__annotations__", {}):
        return True
    if callable(thing) and name in inspect.signature(thing).parameters:
        return True
    if target in EXAMPLES:
        return hasattr(EXAMPLES[target](), name)
    # What a circuit calls its state is in the table of the dynamics.
    return name in (inspect.getdoc(thing) or "")


def test_symbols_name_what_exists():
    tried = 0
    for symbol, cell, owners in rows_of_symbols():
        plain = re.sub(r"\{py:obj\}`[^`]*`", "", cell)
        for name in re.findall(r"`(\.?\w+)(?:\(\))?`", plain):
            tried += 1
            if name == ".grad":
                assert hasattr(torch.nn.Parameter(torch.ones(1)), "grad")
                continue
            if name in ("h_n", "hx"):
                assert name in layers.EIRNN.__doc__
                continue
            found = [owner for owner in owners if knows(owner, name)]
            assert found, f"{symbol}: {owners} have no {name}"
    assert tried > 40


def test_expressions_of_symbols_run():
    from daleml.analysis import fit_weights

    fit = fit_weights([0.4, 0.7, 0.9, 1.5, 2.3] * 4, "lognormal")
    assert {"mu", "sigma"} == set(fit.params)
    assert len(fit.params) == 2
    assert 0 < fit.ks_distance() < 1
    rnn = layers.EIRNN(2, Populations(2, 1), dt_ms=1, tau_ms=10)
    rates, state = rnn(torch.rand(3, 1, 2))
    assert torch.equal(rnn.rates(state)[-1], rates[-1])
    assert layers.EILinear(Populations(2, 1), 2).weight_signs.tolist() == [1, 1, -1]
