"""A sparse circuit beside the dense one with the same numbers."""

import torch

from daleml import Populations, _sparse_weights
from daleml.layers import EIRNN

POPS = Populations.of(exc={"E": 12}, inh={"PV": 3, "SST": 2})


def pair(inputs=3, populations=POPS, mask=0.4, **options):
    """Build a sparse circuit, and its dense twin, in float64."""
    seed = torch.Generator().manual_seed(0)
    options = {"dtype": torch.float64, "generator": seed, **options}
    sparse = EIRNN(inputs, populations, mask=mask, sparse=True, **options)
    masks = {}
    for kind, option in (
        ("ih_l0", "input_mask"),
        ("hh_l0", "mask"),
        ("ih_l1", "layer_mask"),
    ):
        pattern = _sparse_weights.pattern(sparse, f"weight_{kind}")
        if pattern is not None:
            masks[option] = present(pattern)
    dense = EIRNN(inputs, populations, **{**options, **masks})
    write(dense, sparse)
    for circuit in (sparse, dense):
        circuit.generator = torch.Generator().manual_seed(1)
    return sparse, dense


def present(pattern):
    return pattern.dense(torch.ones(pattern.size)).bool()


@torch.no_grad()
def write(dense, sparse):
    """Write the numbers of a sparse circuit into a dense one."""
    own = dict(sparse.named_parameters())
    for name, parameter in dense.named_parameters():
        pattern = _sparse_weights.pattern(sparse, name)
        parameter.copy_(own[name] if pattern is None else pattern.dense(own[name]))


def gradients(sparse, dense):
    """Yield the gradient of each parameter of the sparse circuit, and of its twin there."""
    own = dict(sparse.named_parameters())
    for name, parameter in dense.named_parameters():
        pattern, expected = _sparse_weights.pattern(sparse, name), parameter.grad
        if pattern is not None:
            expected = pattern.entries(expected)
        yield name, own[name].grad, expected
