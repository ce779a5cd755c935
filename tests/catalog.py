"""One table of layers and optimisers, over which the laws run. Something new is a new row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from daleml import Populations, signs
from daleml.layers import DANNRNN, EIRNN, DANNLinear, DANNRNNCell, EILinear, EIRNNCell
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce
from daleml.potentials import Euclidean, HyperbolicEntropy, PNorm


@dataclass(frozen=True)
class LayerCase:
    name: str
    build: Callable[..., nn.Module]  # keyword arguments: device, dtype
    n_in: int
    n_out: int
    invalid: tuple[tuple[Callable[[], nn.Module], type[Exception], str], ...] = ()


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
]


def layers():
    return pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)


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
        enforce(optimizer, model)
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


NETWORKS = {"dense": network, "recurrent": Circuits}


def networks():
    return pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def step(model: nn.Module, optimizer: Optimizer, x: torch.Tensor) -> None:
    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        if isinstance(model, Circuits):
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        return loss

    optimizer.step(closure)
