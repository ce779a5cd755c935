"""Steps of a dense layer with and without Dale's law, and the projection of a large one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import Case
from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear

N_IN, N_OUT, N_INH = 784, 500, 50


def layer_case(shunting: bool, batch: int) -> Case:
    """Compare forward and backward of a DANN layer with those of an ordinary one."""

    def setup() -> tuple[Callable[[], None], Callable[[], None]]:
        ours = DANNLinear(N_IN, N_OUT, N_INH, shunting=shunting)
        return _step(ours, batch), _step(nn.Linear(N_IN, N_OUT), batch)

    kind = "DANNLinear shunting" if shunting else "DANNLinear"
    name = f"{kind} forward and backward, batch {batch}"
    return Case(name, "nn.Linear", setup, rounds=41)


def _step(layer: nn.Module, batch: int) -> Callable[[], None]:
    x = torch.rand(batch, N_IN, requires_grad=True)

    def step() -> None:
        layer.zero_grad()
        layer(x).sum().backward()

    return step


def projection() -> tuple[Callable[[], object], Callable[[], object]]:
    """Compare projecting a layer onto its signs with one pass of torch's own over the weight."""
    layer = EILinear(Populations(3000, 1000), 4000)
    copy = layer.weight.detach().clone()
    return lambda: signs.project_(layer), lambda: copy.clamp_(min=0)


CASES = [
    layer_case(shunting, batch)
    for shunting in (False, True)
    for batch in (32, 256, 1024)
]
PROJECTION = Case("signs.project_, 16M weights", "clamp_", projection)
