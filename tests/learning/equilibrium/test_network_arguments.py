"""Wrong input is refused in one sentence."""

import copy

import pytest
import torch

from daleml import Populations
from daleml.learning import (
    ContinuousEquilibriumPropagation,
    ConvBlock,
    EquilibriumPropagation,
    HardClip,
    HolomorphicNetwork,
    Logistic,
    SoftmaxPool,
    compare_gradients,
)
from tests.learning.equilibrium.settling_networks import F64, NETWORK, X, Y

CLIPPED = HolomorphicNetwork(6, [4], 4, HardClip(), dtype=F64)
SENTENCES = [
    (
        lambda: EquilibriumPropagation(CLIPPED, 0.1, 4),
        ValueError,
        "`n_points` must be 1 or 2 with an activation that is not holomorphic within .1 of the real line; got 4 with HardClip(slope=0.5).",
    ),
    (
        lambda: ContinuousEquilibriumPropagation(CLIPPED),
        ValueError,
        "`n_points` must be 1 or 2 with an activation that is not holomorphic within .1 of the real line; got 10 with HardClip(slope=0.5).",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, 0),
        ValueError,
        "`beta` must be above 0; got 0.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, -0.1),
        ValueError,
        "`beta` must be above 0; got -0.1.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, 0.1j),
        TypeError,
        "`beta` must be a number; got 0.1j.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, 0.1, 0),
        ValueError,
        "`n_points` must be at least 1; got 0.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, 0.1, 2.0),
        TypeError,
        "`n_points` must be an integer; got 2.0.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, noise=-1),
        ValueError,
        "`noise` must be at least 0; got -1.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, n_steps=5),
        ValueError,
        "`n_steps` must be left out without `noise`; got 5.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, leave_out=2),
        ValueError,
        "`leave_out` must be a fraction in [0, 1]; got 2.",
    ),
    (
        lambda: EquilibriumPropagation(torch.nn.Linear(2, 2)),
        TypeError,
        "`network` must be a HolomorphicNetwork; got Linear.",
    ),
    (
        lambda: HolomorphicNetwork(6, [4], 4, dtype=torch.bfloat16),
        ValueError,
        "`dtype` must be of torch.float32 or torch.float64; got torch.bfloat16.",
    ),
    (
        lambda: HolomorphicNetwork(6, [4], 4, dtype=torch.int64),
        ValueError,
        "`dtype` must be of torch.float32 or torch.float64; got torch.int64.",
    ),
    (
        lambda: HolomorphicNetwork(6, [4], 4, dtype=torch.complex128),
        ValueError,
        "`dtype` must be of torch.float32 or torch.float64; got torch.complex128.",
    ),
    (
        lambda: copy.deepcopy(NETWORK).half()(X.half()),
        ValueError,
        "`network` must be of torch.float32 or torch.float64; got torch.float16.",
    ),
    (
        lambda: HolomorphicNetwork(6, 8, 4),
        TypeError,
        "`hidden` must be a sequence of layers; got 8.",
    ),
    (
        lambda: HolomorphicNetwork(6, [8], 4, bias="no"),
        TypeError,
        "`bias` must be True or False; got 'no'.",
    ),
    (
        lambda: HolomorphicNetwork(6, [8], 4, generator=0),
        TypeError,
        "`generator` must be a torch.Generator; got int.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK, generator=0),
        TypeError,
        "`generator` must be a torch.Generator; got int.",
    ),
    (
        lambda: ContinuousEquilibriumPropagation(NETWORK, generator=0),
        TypeError,
        "`generator` must be a torch.Generator; got int.",
    ),
    (
        lambda: HolomorphicNetwork(6, [8], 4, Logistic),
        TypeError,
        "`activation` must be a function of a tensor; got <class 'daleml.learning.equilibrium.activations.Logistic'>.",
    ),
    (
        lambda: EquilibriumPropagation(
            HolomorphicNetwork(6, [4], 4, Logistic(40)), 0.1, 4
        ),
        ValueError,
        "`n_points` must be 1 or 2 with an activation that is not holomorphic within .1 of the real line; "
        "got 4 with Logistic(slope=40, offset=2.0).",
    ),
    (
        lambda: setattr(NETWORK, "step_size", 5.0),
        ValueError,
        "`step_size` must be at most 1; got 5.0.",
    ),
    (
        lambda: NETWORK.keep_dale_(Populations(2, 2)),
        TypeError,
        "`populations` must be a sequence, a partition a hidden layer; got Populations(n_exc=2, n_inh=2).",
    ),
    (
        lambda: NETWORK.keep_dale_(8),
        TypeError,
        "`populations` must be a sequence, a partition a hidden layer; got 8.",
    ),
    (
        lambda: ContinuousEquilibriumPropagation(NETWORK, 0.1, 1),
        ValueError,
        "`n_points` must be at least 2 where there is no free phase; got 1.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK)(X.float(), Y),
        TypeError,
        "`x` must be a tensor of the network's torch.float64; got torch.float32.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK)(X[:, :5], Y),
        ValueError,
        "`x` must be a batch of inputs of shape (6,); got shape (5, 5).",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK)(X / 0, Y),
        ValueError,
        "`x` must be finite; got NaN or infinity.",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK)(X, Y.double()),
        ValueError,
        "`y` must hold a class for each of the 5 samples, in int64; got torch.float64 of shape (5,).",
    ),
    (
        lambda: EquilibriumPropagation(NETWORK)(X, Y + 4),
        ValueError,
        f"`y` must be classes from 0 to 3; got {int(Y[0]) + 4}.",
    ),
    (
        lambda: HolomorphicNetwork(6, [], 4),
        ValueError,
        "`hidden` must hold a layer at least: only hidden layers settle; got none.",
    ),
    (
        lambda: HolomorphicNetwork(6, [4], 4, step_size=2),
        ValueError,
        "`step_size` must be at most 1; got 2.",
    ),
    (
        lambda: HolomorphicNetwork(6, [0], 4),
        ValueError,
        "`hidden` must be at least 1; got 0.",
    ),
    (
        lambda: HolomorphicNetwork(6, [4], 4, "tanh"),
        TypeError,
        "`activation` must be a function of a tensor; got 'tanh'.",
    ),
    (
        lambda: HolomorphicNetwork((1, 8), [4], 4),
        ValueError,
        "`in_shape` must be an integer or (channels, height, width); got (1, 8).",
    ),
    (
        lambda: HolomorphicNetwork(6, [ConvBlock(3)], 4),
        ValueError,
        "`hidden` must have convolutions on images only; got one on (6,).",
    ),
    (
        lambda: HolomorphicNetwork((1, 5, 5), [ConvBlock(3, pool=SoftmaxPool(2))], 4),
        ValueError,
        "`hidden` must hold convolutions whose maps the windows of their pooling divide evenly; got "
        "ConvBlock(channels=3, kernel_size=3, padding=1, pool=SoftmaxPool(size=2, temperature=1.0)) on (1, 5, 5), "
        "whose maps are 5 x 5.",
    ),
    (
        lambda: ConvBlock(3, pool=2),
        TypeError,
        "`pool` must be a SoftmaxPool or None; got 2.",
    ),
    (lambda: SoftmaxPool(2, 0), ValueError, "`temperature` must be above 0; got 0."),
    (
        lambda: compare_gradients(
            EquilibriumPropagation(copy.deepcopy(NETWORK).requires_grad_(False)), X, Y
        ),
        ValueError,
        "`rule` must be of a network with a parameter that learns; got one whose are all frozen.",
    ),
    (lambda: Logistic(0), ValueError, "`slope` must be above 0; got 0."),
    (
        lambda: NETWORK.keep_dale_([4]),
        ValueError,
        "`populations` must hold a partition for each of the 2 hidden layers; got 1.",
    ),
    (
        lambda: compare_gradients(3, X, Y),
        TypeError,
        "`rule` must be one such as EquilibriumPropagation; got int.",
    ),
    (
        lambda: NETWORK.keep_dale_([4, 5]),
        ValueError,
        "`populations` must divide the 4 units of a layer; got 5.",
    ),
]


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    SENTENCES,
    ids=[sentence[:60] for *_, sentence in SENTENCES],
)
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build()
    assert str(raised.value) == sentence
