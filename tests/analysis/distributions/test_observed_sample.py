"""A sample and its observation: options that several functions share, and one object in their place."""

import inspect

import numpy as np
import pytest

from benchmarks.frames import entered
from daleml._support.shared_options import argument_descriptions
from daleml.analysis import (
    Observation,
    compare_families,
    compare_groups,
    fit_weights,
    weight_sample,
)
from daleml.analysis.distributions.observed_sample import (
    DEFAULTS,
    FitOptions,
    ObservationOptions,
    ObservedSample,
    observe,
)
from daleml.weight_study.fit_study import study
from daleml.weight_study.input_data import Gathered

WEIGHTS = np.random.default_rng(0).lognormal(size=60)
LABELS = ["a", "b"] * 30


def grouped(weights, **options):
    return compare_groups(weights, LABELS[: len(weights)], "lognormal", **options)


def studied(weights, **options):
    gathered = Gathered("weights", "weight", weights)
    return study(gathered, "lognormal", intervals="none", **options)


CALLS = {
    fit_weights: fit_weights,
    compare_families: lambda w, **options: compare_families(w, "lognormal", **options),
    compare_groups: grouped,
    study: studied,
}


@pytest.mark.parametrize("function", [fit_weights, compare_families, compare_groups])
def test_every_option_stands_in_the_signature_and_in_the_docstring(function):
    parameters = inspect.signature(function).parameters
    described = argument_descriptions(inspect.getdoc(function))
    assert set(FitOptions.__annotations__) == set(DEFAULTS) <= set(parameters)
    assert set(parameters) == set(described)
    for name, default in DEFAULTS.items():
        assert parameters[name].default == default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_study_lists_how_weights_were_observed():
    parameters = inspect.signature(study).parameters
    assert set(ObservationOptions.__annotations__) <= set(parameters)
    assert "options" not in parameters


@pytest.mark.parametrize("function", CALLS, ids=lambda one: one.__name__)
def test_an_observation_stands_for_the_options(function):
    call = CALLS[function]
    seen = WEIGHTS[WEIGHTS > 0.4]
    by_options = call(seen, truncation=(0.4, None), zeros="hurdle")
    observation = Observation(truncation=(0.4, None), zeros="hurdle")
    assert call(seen, observation=observation).to_dict() == by_options.to_dict()


@pytest.mark.parametrize("function", CALLS, ids=lambda one: one.__name__)
def test_an_observation_and_options_together_are_refused(function):
    sentence = (
        "`observation` must be left out where `zeros` is given; got both: say the second"
        " inside the first."
    )
    with pytest.raises(ValueError) as error:
        CALLS[function](WEIGHTS, observation=Observation(), zeros="hurdle")
    assert str(error.value) == sentence


@pytest.mark.parametrize("function", [fit_weights, compare_families, compare_groups])
def test_a_misspelt_option_is_refused(function):
    with pytest.raises(
        TypeError, match=r"`truncaton` must be one of the options sign,"
    ):
        CALLS[function](WEIGHTS, truncaton=(0.4, None))


def test_significant_figures_are_an_option_too():
    rounded = np.array([float(f"{w:.2g}") for w in WEIGHTS])
    fit = fit_weights(rounded, significant=2)
    assert fit == fit_weights(rounded, observation=Observation(significant=2))


def test_a_fit_runs_through_few_files_and_functions():
    """Of the package; a stranger who follows the call reads no more than these."""
    fit_weights(WEIGHTS, "lognormal")
    files, functions = entered(lambda: fit_weights(WEIGHTS, "lognormal"))
    assert len(files) <= 5, sorted(files)
    assert len(functions) <= 16, sorted(functions)


def test_whole_is_what_was_seen_as_it_is_and_counts_once():
    assert observe(WEIGHTS, None, {}).whole
    assert not observe(WEIGHTS, Observation(censoring=0.5), {}).whole
    counted = weight_sample(WEIGHTS, sample_weights=np.full(60, 2.0))
    observed = ObservedSample(counted, Observation())
    assert not observed.whole
    assert observed.nearly_whole
    assert observed.total == 120


@pytest.mark.parametrize(
    ("call", "wrong", "right"),
    [
        (
            lambda **slip: compare_groups([1.0, 2.0, 3.0], list("aba"), **slip),
            "withn",
            "within",
        ),
        (lambda **slip: compare_families([1.0, 2.0, 3.0], **slip), "gofs", "gof"),
        (lambda **slip: fit_weights([1.0, 2.0, 3.0], **slip), "truncate", "truncation"),
    ],
)
def test_a_misspelt_keyword_is_answered_with_the_one_that_was_meant(call, wrong, right):
    with pytest.raises(TypeError, match=rf"no such name: did you mean `{right}`\?$"):
        call(**{wrong: 1})
    with pytest.raises(TypeError, match=r"got an option of no such name\.$"):
        call(zebra=1)
