import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daleml import Populations


def test_excitatory_units_come_first():
    pops = Populations(n_exc=3, n_inh=2)
    assert pops.size == 5
    assert pops.signs().tolist() == [1, 1, 1, -1, -1]
    assert pops.signs().dtype == torch.float32
    assert pops.signs(dtype=torch.int8).dtype == torch.int8
    assert pops.signs()[pops.exc].tolist() == [1, 1, 1]
    assert pops.signs()[pops.inh].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("n", "inhibitory", "n_inh"),
    [(100, 0.2, 20), (10, 0, 0), (10, 1, 10), (3, 0.5, 2), (7, 0.1, 1)],
)
def test_split(n, inhibitory, n_inh):
    assert Populations.split(n, inhibitory) == Populations(n - n_inh, n_inh)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_split_is_within_half_a_unit(n, inhibitory):
    pops = Populations.split(n, inhibitory)
    assert pops.size == n
    assert abs(pops.n_inh - n * inhibitory) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda: Populations(-1, 2), ValueError, "`n_exc` must be at least 0; got -1."),
        (lambda: Populations(1, -2), ValueError, "`n_inh` must be at least 0; got -2."),
        (
            lambda: Populations(0, 0),
            ValueError,
            "`n_exc` + `n_inh` must be at least 1; got 0.",
        ),
        (
            lambda: Populations(1.5, 2),
            TypeError,
            "`n_exc` must be an integer; got 1.5.",
        ),
        (
            lambda: Populations(True, 2),
            TypeError,
            "`n_exc` must be an integer; got True.",
        ),
        (
            lambda: Populations([3], 2),
            TypeError,
            "`n_exc` must be an integer; got [3].",
        ),
        (lambda: Populations.split(0), ValueError, "`n` must be at least 1; got 0."),
        (
            lambda: Populations.split(10, 1.2),
            ValueError,
            "`inhibitory` must be a fraction in [0, 1]; got 1.2.",
        ),
        (
            lambda: Populations.split(10, -0.1),
            ValueError,
            "`inhibitory` must be a fraction in [0, 1]; got -0.1.",
        ),
        (
            lambda: Populations.split(10, float("nan")),
            ValueError,
            "`inhibitory` must be finite; got nan.",
        ),
        (
            lambda: Populations.split(10, "0.2"),
            TypeError,
            "`inhibitory` must be a number; got '0.2'.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build()
    assert str(raised.value) == sentence


def test_is_a_value():
    pops = Populations(3, 2)
    assert pops == pickle.loads(pickle.dumps(pops))
    assert hash(pops) == hash(Populations(3, 2))
    assert pops.to_dict() == {"n_exc": 3, "n_inh": 2}
    with pytest.raises(AttributeError):
        pops.n_exc = 4
