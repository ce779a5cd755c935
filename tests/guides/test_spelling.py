"""Words are spelt one way: the terms of the glossary, and British English in prose."""

import re
import subprocess
import sys

import pytest

from tests.guides import prose, written

# What a term is called, and the variants that readers would take for something else.
VARIANTS = {
    "Dale's law": r"Dale'?s? (?:principle|rule)|Dale law|Dales law",
    "log-normal": r"log ?normal\w*",
    "feed-forward": r"feed ?forward",
    "readout": r"read-outs?|read outs\b|read out layer",
    "nonlinearity": r"non-linearit\w+|non linearit\w+",
    "non-negative": r"nonnegative\w*|non negative",
    "postsynaptic, presynaptic": r"(?:post|pre)-synaptic\w*",
    "interneuron": r"inter-neuron\w*",
    "time constant": r"time-constants?\b|timeconstant\w*",
    "time step": r"time-steps?\b|timesteps?",
    "mini-batch": r"minibatch\w*",
    "checkpoint": r"check-point\w*",
    "hyperparameter": r"hyper-parameter\w*",
    "data set": r"datasets?\b",
    "E/I": r"E-I (?:balance|network|circuit)\w*|EI balance",
    "column EI": r"column-E/I|Column EI network|ColumnEI|col-EI",
    "shunting": r"shunt(?:ed)? inhibition",
    "NeuroGym": r"Neurogym|NeuroGYM",
    "PyTorch": r"Pytorch|PyTORCH",
    "NumPy": r"\bnumpy\b|Numpy",
    "SciPy": r"\bScipy\b",
    "Kolmogorov-Smirnov": r"Kolmogorov[–—]Smirnov|Kolmogorov Smirnov",
}

BRITISH = {
    "behaviour": r"behavior\w*",
    "colour": r"colors?\b|colored|coloring",
    "grey": r"\bgray\w*",
    "optimiser, optimise": r"optimiz\w+",
    "normalise": r"\w*normaliz\w+",
    "initialise": r"\w*initializ\w+",
    "regularise": r"regulariz\w+",
    "generalise": r"generaliz(?!edgamma)\w+",
    "summarise": r"summariz\w+",
    "minimise": r"minimiz\w+",
    "recognise": r"recogniz\w+",
    "analyse": r"analyz\w+",
    "centre": r"\bcenter\w*",
    "labelled": r"label(?:ed|ing)\b",
    "modelling": r"model(?:ed|ing)\b",
    "neighbour": r"neighbor\w*",
    "favour": r"favor\w*",
    "fibre": r"fibers?\b",
}


@pytest.fixture(scope="module")
def texts():
    # Read once, and not while tests are collected: every process collects.
    return list(prose.everything())


def offences(pattern, text):
    """Return what a text says in a way that is not ours; titles of papers are theirs."""
    return re.findall(pattern, prose.without_titles(text))


@pytest.mark.parametrize("term", [*VARIANTS, *BRITISH])
def test_words_are_spelt_one_way(term, texts):
    pattern = {**VARIANTS, **BRITISH}[term]
    found = {}
    for name, text in texts:
        # Its tables are of families by their keys, written by a program.
        if name.startswith("docs/calibration") and term == "log-normal":
            continue
        if words := offences(pattern, text):
            found[name] = words
    assert not found, f"write {term}"


def test_variants_are_noticed():
    for pattern, wrong in (
        (VARIANTS["Dale's law"], "keeps Dale's principle"),
        (VARIANTS["log-normal"], "is log normal"),
        (VARIANTS["readout"], "a linear read-out"),
        (VARIANTS["feed-forward"], "feedforward inhibition"),
        (BRITISH["colour"], "its color"),
    ):
        assert offences(pattern, wrong)
    assert not offences(VARIANTS["log-normal"], "the log-normal distribution")
    assert not offences(VARIANTS["Dale's law"], '"Learning with Dale\'s principle"')


def test_prose_is_without_code():
    page = "Words `colour_map` and $color$.\n\n```python\ncolor = 1\n```\n"
    assert "color" not in prose.of_page(page)
    doc = "Draw.\n\nArgs:\n    color: Its colour.\n\n>>> draw(color=1)\ncolor\n\nAfter."
    plain = prose.of_docstring(doc)
    assert "Its colour" in plain
    assert "After" in plain
    assert not re.search(r"\bcolor\b", plain)
    script = "# %% [markdown]\n# A word.\n\n# %%\ncolor = 1\n"
    assert prose.of_script(script).split() == ["A", "word."]


def test_terms_of_the_glossary_are_no_variants():
    for term in written.glossary():
        for name, pattern in {**VARIANTS, **BRITISH}.items():
            assert not offences(pattern, term), f"{term}: write {name}"


def test_words_are_words(tmp_path, texts):
    """A typing error that codespell knows is in no text."""
    pytest.importorskip("codespell_lib")
    place = tmp_path / "prose.txt"
    place.write_text("\n".join(f"{name}:\n{text}" for name, text in texts))
    # Names of populations, of people and of mathematics that look like typing errors.
    ours = "inh,ei,nd,ue,sst,ot"
    command = [sys.executable, "-m", "codespell_lib", "-L", ours, str(place)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ran.stdout, ran.stdout
    place.write_text("the reccurent weight")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "recurrent" in ran.stdout
