"""Small networks that settle, and rules for them."""

import torch

from daleml.learning import (
    ContinuousEquilibriumPropagation,
    ConvBlock,
    EquilibriumPropagation,
    HolomorphicNetwork,
    HoloTanh,
    RecurrentBackpropagation,
    SoftmaxPool,
)

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def dense(seed=0, **options):
    """A toy network with biases that are not all 0, and one batch for it."""
    rng = generator(seed)
    options = {"dtype": F64, "generator": rng, **options}
    network = HolomorphicNetwork(6, [4, 4], 4, **options)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1, generator=rng)
    x = torch.rand(5, 6, generator=rng, dtype=F64).to(options["dtype"])
    return network, x, torch.randint(4, (5,), generator=rng)


def convolutional(seed=0, **options):
    rng = generator(seed)
    blocks = [
        ConvBlock(3, pool=SoftmaxPool(2)),
        ConvBlock(4, kernel_size=3, padding=0),
        5,
    ]
    options = {
        "dtype": F64,
        "generator": rng,
        "activation": HoloTanh(),
        "gain": 0.4,
        **options,
    }
    network = HolomorphicNetwork((2, 8, 8), blocks, 3, **options)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1, generator=rng)
    return (
        network,
        torch.rand(2, 2, 8, 8, generator=rng, dtype=F64),
        torch.tensor([2, 0]),
    )


def lists(network):
    connections = [*network.connections, network.readout]
    return [c.weight.tolist() for c in connections], [
        c.bias.tolist() for c in connections
    ]


def gradients(rule, x, y):
    return [gradient.clone() for gradient in rule.gradients(x, y)[1].values()]


NETWORK, X, Y = dense()
RULES = {
    "one point": lambda network: EquilibriumPropagation(network, 0.1, 1),
    "two points": lambda network: EquilibriumPropagation(network, 0.1, 2),
    "four points": lambda network: EquilibriumPropagation(network, 0.1, 4),
    "continuous": lambda network: ContinuousEquilibriumPropagation(network, 0.1, 4),
    "exact": RecurrentBackpropagation,
}


def unstable():
    network, x, y = dense(max_steps=60, tolerance=1e-9)
    with torch.no_grad():
        network.connections[1].weight.fill_(
            -4.0
        )  # each layer silences the other, both at once: it oscillates
        network.connections[0].weight.zero_()
        network.connections[0].weight[:, 0] = 5.0
        network.connections[0].bias.fill_(2.0)
        network.connections[1].bias.fill_(2.0)
    x = torch.zeros_like(x)
    x[:2, 0] = -3.0  # two samples whose first layer stays silent
    return network, x, y
