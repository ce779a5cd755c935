"""One table of layers and optimisers, over which the laws run. Something new is a new row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from daleml import Populations, signs
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv1d,
    DANNConv2d,
    DANNLinear,
    DANNRNNCell,
    EIConv1d,
    EIConv2d,
    EILinear,
    EIRNNCell,
)
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce
from daleml.potentials import Euclidean, HyperbolicEntropy, PNorm


@dataclass(frozen=True)
class LayerCase:
    name: str
    build: Callable[..., nn.Module]  # keyword arguments: device, dtype
    n_in: int | tuple[int, ...]
    n_out: int | tuple[int, ...]
    invalid: tuple[tuple[Callable[[], nn.Module], type[Exception], str], ...] = ()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.n_in if isinstance(self.n_in, tuple) else (self.n_in,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.n_out if isinstance(self.n_out, tuple) else (self.n_out,)


LAYERS = [
    LayerCase(
        "EILinear",
        lambda **kw: EILinear(Populations(6, 3), 4, **kw),
        9,
        4,
        (
            (lambda: EILinear(0, 4), ValueError, "`populations` must be at least 1; got 0."),
            (lambda: EILinear(3, 0), ValueError, "`out_features` must be at least 1; got 0."),
            (lambda: EILinear(3, -2), ValueError, "`out_features` must be at least 1; got -2."),
            (lambda: EILinear([1, 1], 2), TypeError, "`populations` must be an integer; got [1, 1]."),
        ),
    ),
    LayerCase(
        "EILinear excitatory only",
        lambda **kw: EILinear(Populations(6, 3), 4, excitatory_only=True, **kw),
        9,
        4,
        (
            (
                lambda: EILinear(Populations(0, 3), 4, excitatory_only=True),
                ValueError,
                "`populations` must have an excitatory unit where `excitatory_only` is True; got none.",
            ),
        ),
    ),
    LayerCase("EILinear all E", lambda **kw: EILinear(7, 4, **kw), 7, 4),
    LayerCase("EILinear all I", lambda **kw: EILinear(Populations(0, 7), 4, bias=False, **kw), 7, 4),
    LayerCase(
        "DANNLinear",
        lambda **kw: DANNLinear(8, 5, n_inh=2, **kw),
        8,
        5,
        (
            (lambda: DANNLinear(8, 5, n_inh=0), ValueError, "`n_inh` must be at least 1; got 0."),
            (lambda: DANNLinear(-8, 5), ValueError, "`in_features` must be at least 1; got -8."),
            (lambda: DANNLinear(8, 2.5), TypeError, "`out_features` must be an integer; got 2.5."),
            (lambda: DANNLinear(8, 5, shunting=True, eps=0), ValueError, "`eps` must be above 0; got 0."),
        ),
    ),
    LayerCase("DANNLinear one output", lambda **kw: DANNLinear(8, 1, bias=False, **kw), 8, 1),
    LayerCase("DANNLinear shunting", lambda **kw: DANNLinear(8, 5, n_inh=2, shunting=True, **kw), 8, 5),
    LayerCase(
        "EIConv2d",
        lambda **kw: EIConv2d(Populations(4, 2), 5, (3, 2), stride=2, padding=1, padding_mode="circular", **kw),
        (6, 7, 6),
        (5, 4, 4),
        (
            (lambda: EIConv2d(0, 4, 3), ValueError, "`populations` must be at least 1; got 0."),
            (lambda: EIConv2d(3, 4, 0), ValueError, "`kernel_size` must be at least 1; got 0."),
            (lambda: EIConv2d(3, 4, (3,)), ValueError, "`kernel_size` must be an integer or 2 of them; got (3,)."),
            (lambda: EIConv2d(3, 4, 2.5), TypeError, "`kernel_size` must be an integer; got 2.5."),
            (lambda: EIConv2d(3, 4, 3, padding=-1), ValueError, "`padding` must be at least 0; got -1."),
            (
                lambda: EIConv2d(4, 3, 3, groups=2),
                ValueError,
                "`groups` must divide the number of channels; got 2 for 3 (out_channels).",
            ),
            (
                lambda: EIConv2d(4, 3, 3, padding_mode="mirror"),
                ValueError,
                "`padding_mode` must be one of zeros, reflect, replicate, circular; got 'mirror'.",
            ),
            (
                lambda: EIConv2d(4, 3, 3, padding="full"),
                ValueError,
                "`padding` must be a size, 'same' or 'valid'; got 'full'.",
            ),
            (
                lambda: EIConv2d(4, 3, 3, stride=2, padding="same"),
                ValueError,
                "`padding` must be a size where `stride` is above 1; got 'same' and 2.",
            ),
        ),
    ),
    LayerCase("EIConv2d groups", lambda **kw: EIConv2d(Populations(4, 4), 6, 3, groups=2, **kw), (8, 5, 5), (6, 3, 3)),
    LayerCase("EIConv1d all I", lambda **kw: EIConv1d(Populations(0, 3), 4, 3, bias=False, **kw), (3, 9), (4, 7)),
    LayerCase(
        "DANNConv2d",
        lambda **kw: DANNConv2d(3, 5, 3, n_inh=2, padding="same", padding_mode="reflect", dilation=2, **kw),
        (3, 7, 6),
        (5, 7, 6),
        (
            (lambda: DANNConv2d(0, 4, 3), ValueError, "`in_channels` must be at least 1; got 0."),
            (lambda: DANNConv2d(3, 4, 3, n_inh=0), ValueError, "`n_inh` must be at least 1; got 0."),
            (lambda: DANNConv2d(3, 4, 3, shunting=True, eps=0), ValueError, "`eps` must be above 0; got 0."),
        ),
    ),
    LayerCase("DANNConv2d shunting", lambda **kw: DANNConv2d(3, 5, 2, shunting=True, **kw), (3, 4, 4), (5, 3, 3)),
    LayerCase("DANNConv1d", lambda **kw: DANNConv1d(3, 5, 3, 2, stride=2, bias=False, **kw), (3, 9), (5, 4)),
]


def layers(cases=LAYERS):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def invalid_layers():
    rows = [pytest.param(*row, id=f"{case.name}: {row[2]}") for case in LAYERS for row in case.invalid]
    return pytest.mark.parametrize(("build", "error", "sentence"), rows)


@dataclass(frozen=True)
class OptimizerCase:
    name: str
    build: Callable[[list[nn.Parameter], float], Optimizer]  # parameters and weight decay
    guarded: bool = True
    matrices_only: bool = False


def _torch_optimizers() -> list[OptimizerCase]:
    """Every optimiser torch has, found rather than listed, so that a new one is tested without being thought of."""
    found = []
    for name in sorted(vars(torch.optim)):
        cls = getattr(torch.optim, name)
        if not isinstance(cls, type) or not issubclass(cls, Optimizer) or name in ("Optimizer", "SparseAdam"):
            continue  # SparseAdam takes sparse gradients only
        options = {"lr": 0.3}
        if name in ("LBFGS", "Rprop"):  # which have no weight decay
            found.append(OptimizerCase(name, lambda ps, wd, cls=cls: cls(ps, lr=0.3)))
            continue

        def build(ps, wd, cls=cls, options=options):
            return cls(ps, **options, weight_decay=wd)

        found.append(OptimizerCase(name, build, matrices_only=name == "Muon"))
    return found


OPTIMIZERS = [
    *_torch_optimizers(),
    OptimizerCase("SGD momentum", lambda ps, wd: torch.optim.SGD(ps, 0.3, momentum=0.9, weight_decay=wd)),
    OptimizerCase("EG", lambda ps, wd: EG(ps, 0.3, weight_decay=wd), guarded=False),
    OptimizerCase("EG momentum", lambda ps, wd: EG(ps, 0.3, momentum=0.9, weight_decay=wd), guarded=False),
    OptimizerCase("EG nesterov", lambda ps, wd: EG(ps, 0.3, 0.9, nesterov=True, weight_decay=wd), guarded=False),
    OptimizerCase("EG foreach", lambda ps, wd: EG(ps, 0.3, momentum=0.9, weight_decay=wd, foreach=True), guarded=False),
    OptimizerCase("EG floor", lambda ps, wd: EG(ps, 0.3, weight_decay=wd, floor=1e-4), guarded=False),
    OptimizerCase("MirrorDescent", lambda ps, wd: MirrorDescent(ps, 0.3, weight_decay=wd), guarded=False),
    OptimizerCase("Mirror Euclidean", lambda ps, wd: MirrorDescent(ps, 0.3, Euclidean(), 0.9, weight_decay=wd)),
    OptimizerCase("Mirror p-norm", lambda ps, wd: MirrorDescent(ps, 0.3, PNorm(3), weight_decay=wd)),
    OptimizerCase("Mirror sparse", lambda ps, wd: MirrorDescent(ps, 0.3, PNorm(1.8), 0.5, 0.1, weight_decay=wd)),
    OptimizerCase("Mirror hyperbolic", lambda ps, wd: MirrorDescent(ps, 0.3, HyperbolicEntropy(1.0), weight_decay=wd)),
    OptimizerCase("EGAdamW", lambda ps, wd: EGAdamW(ps, 0.3, weight_decay=wd), guarded=False),
    OptimizerCase("EGAdamW amsgrad", lambda ps, wd: EGAdamW(ps, 0.3, amsgrad=True, weight_decay=wd), guarded=False),
    OptimizerCase("EGAdamW foreach", lambda ps, wd: EGAdamW(ps, 0.3, weight_decay=wd, foreach=True), guarded=False),
]
OURS = [case for case in OPTIMIZERS if case.name.startswith(("EG", "Mirror"))]
LAWFUL = [case for case in OPTIMIZERS if not case.guarded]  # by themselves


def optimizers(cases=OPTIMIZERS):
    return pytest.mark.parametrize("optimizer", cases, ids=lambda case: case.name)


def attach(case: OptimizerCase, model: nn.Module, weight_decay: float = 0.0) -> Optimizer:
    parameters = [p for p in model.parameters() if p.ndim == 2 or not case.matrices_only]
    optimizer = case.build(parameters, weight_decay)
    for group in optimizer.param_groups if isinstance(model, Circuits) else ():
        group["lr"] *= 0.1  # circuits diverge where dense networks do not, and NaN has no sign
    if case.guarded:
        enforce(optimizer, model, partial=case.matrices_only)
    return optimizer


def network(**kw) -> nn.Sequential:
    """Every kind of lawful parameter there is, the user's own layers included."""
    plain = nn.Linear(5, 3, **kw)
    signs.fix(plain, "weight", Populations(3, 2).signs())
    torch.nn.init.normal_(plain.weight)
    return signs.project_(
        nn.Sequential(
            EILinear(Populations(6, 3), 8, **kw),
            nn.ReLU(),
            DANNLinear(8, 6, 2, shunting=True, **kw),
            nn.ReLU(),
            DANNLinear(6, 5, 1, **kw),
            nn.ReLU(),
            plain,
        )
    )


class Circuits(nn.Module):
    """Every kind of recurrent layer, stacked, masked, leaky, shunting; rows of the input are time steps."""

    def __init__(self, **kw) -> None:
        super().__init__()
        mask = torch.ones(9, 9).tril(-1)
        mask[0, 5] = mask[2, 8] = 1
        self.ei = EIRNN(
            Populations(6, 3), Populations(6, 3), 2, mask=mask, dt_ms=20, tau_ms=50, train_initial_state=True, **kw
        )
        self.dann = DANNRNN(9, 6, 2, 2, mask=0.7, **kw)
        self.shunting = DANNRNN(6, 5, 2, shunting=True, train_initial_state=True, **kw)
        self.cell = EIRNNCell(5, Populations(3, 2), nonlinearity="softplus", **kw)
        self.dann_cell = DANNRNNCell(5, 4, 2, shunting=True, **kw)
        self.readout = EILinear(Populations(3, 1), 3, excitatory_only=True, **kw)

    def forward(self, x):
        rates, _ = self.shunting(self.dann(self.ei(x)[0])[0])
        return self.readout(self.dann_cell(self.cell(rates)))


class Images(nn.Module):
    """Every kind of convolution, with torch's own; rows of the input are images of 3 x 3."""

    def __init__(self, **kw) -> None:
        super().__init__()
        self.first = EIConv2d(1, 6, 2, padding=1, **kw)
        self.second = EIConv2d(Populations(4, 2), 4, 3, padding=1, groups=2, **kw)
        self.dann = DANNConv2d(4, 5, 2, n_inh=2, **kw)
        self.shunting = DANNConv2d(5, 4, 1, shunting=True, **kw)
        self.plain = nn.Conv2d(4, 3, 1, **kw)
        signs.fix(self.plain, "weight", Populations(3, 1))
        self.line = DANNConv1d(3, 4, 3, 2, padding=1, **kw)
        self.last = EIConv1d(Populations(3, 1), 3, 9, **kw)
        signs.project_(self)

    def forward(self, x):
        x = self.second(self.first(x.view(-1, 1, 3, 3)).relu()).relu()
        x = self.plain(self.shunting(self.dann(x).relu()).relu()).relu()
        return self.last(self.line(x.flatten(2)).relu()).flatten(1)


NETWORKS = {"dense": network, "recurrent": Circuits, "convolutional": Images}


def networks():
    return pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def step(model: nn.Module, optimizer: Optimizer, x: torch.Tensor) -> None:
    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        if isinstance(model, (Circuits, Images)):
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        return loss

    optimizer.step(closure)
