"""One table of layers and optimisers, over which the laws run. Something new is a new row."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from daleml import Populations, signs
from daleml.layers import (
    DANNRNN,
    EIRNN,
    Blocks,
    DANNConv1d,
    DANNConv2d,
    DANNLinear,
    DANNRNNCell,
    EIConv1d,
    EIConv2d,
    EILinear,
    EIRNNCell,
    Readout,
)
from daleml.layers.dynamics import Adaptation, RectifiedLeak, ShortTermPlasticity
from daleml.layers.init import redraw
from daleml.layers.init.draws import column_ei_
from daleml.modules import SynapticWeight
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


CELLS = Populations.of(exc={"E": 6}, inh={"PV": 2, "SST": 1})

AREAS = Populations.of(exc={"V1.E": 4, "PFC.E": 2}, inh={"V1.I": 2, "PFC.I": 1})
LAYERS = [
    LayerCase(
        "EILinear",
        lambda **kw: EILinear(Populations(6, 3), 4, **kw),
        9,
        4,
        (
            (
                lambda: EILinear(0, 4),
                ValueError,
                "`populations` must be at least 1; got 0.",
            ),
            (
                lambda: EILinear(3, 0),
                ValueError,
                "`out_features` must be at least 1; got 0.",
            ),
            (
                lambda: EILinear(3, -2),
                ValueError,
                "`out_features` must be at least 1; got -2.",
            ),
            (
                lambda: EILinear([1, 1], 2),
                TypeError,
                "`populations` must be an integer; got [1, 1].",
            ),
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
    LayerCase("EILinear of cell types", lambda **kw: EILinear(CELLS, 4, **kw), 9, 4),
    LayerCase(
        "EILinear by pathways",
        lambda **kw: EILinear(
            AREAS,
            Populations(3, 1),
            mask=Blocks({"V1.E->*": 1, "V1.I->*": 0.9, "PFC->*": 0.8}),
            strength=Blocks({"V1->*": 2}, default=1),
            fixed=Blocks({"V1.I->*": 1}),
            lr_scale=Blocks({"PFC->*": 0.5}, default=1),
            **kw,
        ),
        9,
        4,
    ),
    LayerCase(
        "EILinear sparse",
        lambda **kw: EILinear(CELLS, 4, mask=0.6, sparse=True, **kw),
        9,
        4,
        (
            (
                lambda: EILinear(CELLS, 4, sparse=True),
                ValueError,
                "`sparse` must be left out without `mask`, where all synapses exist; got"
                " True: give a mask, such as `mask=0.01`.",
            ),
        ),
    ),
    LayerCase("EILinear all E", lambda **kw: EILinear(7, 4, **kw), 7, 4),
    LayerCase(
        "EILinear all I",
        lambda **kw: EILinear(Populations(0, 7), 4, bias=False, **kw),
        7,
        4,
    ),
    LayerCase(
        "Readout",
        lambda **kw: Readout(Populations(6, 3), 4, **kw),
        9,
        4,
        (
            (
                lambda: Readout(Populations(0, 3), 4),
                ValueError,
                "`populations` must have an excitatory unit where `excitatory_only` is True; got none.",
            ),
            (
                lambda: Readout(Populations(6, 3), 0),
                ValueError,
                "`n_outputs` must be at least 1; got 0.",
            ),
        ),
    ),
    LayerCase(
        "Readout by pathways",
        lambda **kw: Readout(
            AREAS, 4, mask=Blocks({"V1.E->*": 1, "PFC.E->*": 0.8}), **kw
        ),
        9,
        4,
    ),
    LayerCase(
        "Readout of all units",
        lambda **kw: Readout(Populations(6, 3), 4, False, excitatory_only=False, **kw),
        9,
        4,
    ),
    LayerCase(
        "DANNLinear",
        lambda **kw: DANNLinear(8, 5, n_inh=2, **kw),
        8,
        5,
        (
            (
                lambda: DANNLinear(8, 5, n_inh=0),
                ValueError,
                "`n_inh` must be at least 1; got 0.",
            ),
            (
                lambda: DANNLinear(-8, 5),
                ValueError,
                "`in_features` must be at least 1; got -8.",
            ),
            (
                lambda: DANNLinear(8, 2.5),
                TypeError,
                "`out_features` must be an integer; got 2.5.",
            ),
            (
                lambda: DANNLinear(8, 5, shunting=True, eps=0),
                ValueError,
                "`eps` must be above 0; got 0.",
            ),
        ),
    ),
    LayerCase(
        "DANNLinear one output", lambda **kw: DANNLinear(8, 1, bias=False, **kw), 8, 1
    ),
    LayerCase(
        "DANNLinear shunting",
        lambda **kw: DANNLinear(8, 5, n_inh=2, shunting=True, **kw),
        8,
        5,
    ),
    LayerCase(
        "EIConv2d",
        lambda **kw: EIConv2d(
            Populations(4, 2),
            5,
            (3, 2),
            stride=2,
            padding=1,
            padding_mode="circular",
            **kw,
        ),
        (6, 7, 6),
        (5, 4, 4),
        (
            (
                lambda: EIConv2d(0, 4, 3),
                ValueError,
                "`populations` must be at least 1; got 0.",
            ),
            (
                lambda: EIConv2d(3, 4, 0),
                ValueError,
                "`kernel_size` must be at least 1; got 0.",
            ),
            (
                lambda: EIConv2d(3, 4, (3,)),
                ValueError,
                "`kernel_size` must be an integer or 2 of them; got (3,).",
            ),
            (
                lambda: EIConv2d(3, 4, 2.5),
                TypeError,
                "`kernel_size` must be an integer; got 2.5.",
            ),
            (
                lambda: EIConv2d(3, 4, 3, padding=-1),
                ValueError,
                "`padding` must be at least 0; got -1.",
            ),
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
    LayerCase(
        "EIConv2d groups",
        lambda **kw: EIConv2d(Populations(4, 4), 6, 3, groups=2, **kw),
        (8, 5, 5),
        (6, 3, 3),
    ),
    LayerCase(
        "EIConv2d by pathways",
        lambda **kw: EIConv2d(
            AREAS,
            6,
            3,
            mask=Blocks({"V1->*": 0.9, "PFC.E->*": 1}),
            fixed=Blocks({"PFC.E->*": 1}),
            **kw,
        ),
        (9, 5, 5),
        (6, 3, 3),
    ),
    LayerCase(
        "EIConv1d all I",
        lambda **kw: EIConv1d(Populations(0, 3), 4, 3, bias=False, **kw),
        (3, 9),
        (4, 7),
    ),
    LayerCase(
        "DANNConv2d",
        lambda **kw: DANNConv2d(
            3, 5, 3, n_inh=2, padding="same", padding_mode="reflect", dilation=2, **kw
        ),
        (3, 7, 6),
        (5, 7, 6),
        (
            (
                lambda: DANNConv2d(0, 4, 3),
                ValueError,
                "`in_channels` must be at least 1; got 0.",
            ),
            (
                lambda: DANNConv2d(3, 4, 3, n_inh=0),
                ValueError,
                "`n_inh` must be at least 1; got 0.",
            ),
            (
                lambda: DANNConv2d(3, 4, 3, shunting=True, eps=0),
                ValueError,
                "`eps` must be above 0; got 0.",
            ),
        ),
    ),
    LayerCase(
        "DANNConv2d shunting",
        lambda **kw: DANNConv2d(3, 5, 2, shunting=True, **kw),
        (3, 4, 4),
        (5, 3, 3),
    ),
    LayerCase(
        "DANNConv1d",
        lambda **kw: DANNConv1d(3, 5, 3, 2, stride=2, bias=False, **kw),
        (3, 9),
        (5, 4),
    ),
]


def layers(cases=LAYERS):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def invalid_layers():
    rows = [
        pytest.param(*row, id=f"{case.name}: {row[2]}")
        for case in LAYERS
        for row in case.invalid
    ]
    return pytest.mark.parametrize(("build", "error", "sentence"), rows)


@dataclass(frozen=True)
class OptimizerCase:
    name: str
    build: Callable[
        [list[nn.Parameter], float], Optimizer
    ]  # parameters and weight decay
    guarded: bool = True
    matrices_only: bool = False


def _torch_optimizers() -> list[OptimizerCase]:
    """Every optimiser torch has, found rather than listed, so that a new one is tested without being thought of."""
    found = []
    for name in sorted(vars(torch.optim)):
        cls = getattr(torch.optim, name)
        if (
            not isinstance(cls, type)
            or not issubclass(cls, Optimizer)
            or name in ("Optimizer", "SparseAdam")
        ):
            continue  # SparseAdam takes sparse gradients only
        options = {"lr": 0.3}
        if name in ("LBFGS", "Rprop"):  # which have no weight decay
            # Of LBFGS, fewer evaluations of the loss in a step than its twenty.
            more = {"max_iter": 5} if name == "LBFGS" else {}
            found.append(
                OptimizerCase(name, lambda ps, wd, c=cls, o=more: c(ps, lr=0.3, **o))
            )
            continue

        def build(ps, wd, cls=cls, options=options):
            return cls(ps, **options, weight_decay=wd)

        found.append(OptimizerCase(name, build, matrices_only=name == "Muon"))
    return found


OPTIMIZERS = [
    *_torch_optimizers(),
    OptimizerCase(
        "SGD momentum",
        lambda ps, wd: torch.optim.SGD(ps, 0.3, momentum=0.9, weight_decay=wd),
    ),
    OptimizerCase("EG", lambda ps, wd: EG(ps, 0.3, weight_decay=wd), guarded=False),
    OptimizerCase(
        "EG momentum",
        lambda ps, wd: EG(ps, 0.3, momentum=0.9, weight_decay=wd),
        guarded=False,
    ),
    OptimizerCase(
        "EG nesterov",
        lambda ps, wd: EG(ps, 0.3, 0.9, nesterov=True, weight_decay=wd),
        guarded=False,
    ),
    OptimizerCase(
        "EG foreach",
        lambda ps, wd: EG(ps, 0.3, momentum=0.9, weight_decay=wd, foreach=True),
        guarded=False,
    ),
    OptimizerCase(
        "EG floor",
        lambda ps, wd: EG(ps, 0.3, weight_decay=wd, floor=1e-4),
        guarded=False,
    ),
    OptimizerCase(
        "MirrorDescent",
        lambda ps, wd: MirrorDescent(ps, 0.3, weight_decay=wd),
        guarded=False,
    ),
    OptimizerCase(
        "Mirror Euclidean",
        lambda ps, wd: MirrorDescent(ps, 0.3, Euclidean(), 0.9, weight_decay=wd),
    ),
    OptimizerCase(
        "Mirror p-norm",
        lambda ps, wd: MirrorDescent(ps, 0.3, PNorm(3), weight_decay=wd),
    ),
    OptimizerCase(
        "Mirror sparse",
        lambda ps, wd: MirrorDescent(ps, 0.3, PNorm(1.8), 0.5, 0.1, weight_decay=wd),
    ),
    OptimizerCase(
        "Mirror hyperbolic",
        lambda ps, wd: MirrorDescent(ps, 0.3, HyperbolicEntropy(1.0), weight_decay=wd),
    ),
    OptimizerCase(
        "EGAdamW", lambda ps, wd: EGAdamW(ps, 0.3, weight_decay=wd), guarded=False
    ),
    OptimizerCase(
        "EGAdamW amsgrad",
        lambda ps, wd: EGAdamW(ps, 0.3, amsgrad=True, weight_decay=wd),
        guarded=False,
    ),
    OptimizerCase(
        "EGAdamW foreach",
        lambda ps, wd: EGAdamW(ps, 0.3, weight_decay=wd, foreach=True),
        guarded=False,
    ),
]
OURS = [case for case in OPTIMIZERS if case.name.startswith(("EG", "Mirror"))]
LAWFUL = [case for case in OPTIMIZERS if not case.guarded]  # by themselves


def optimizers(cases=OPTIMIZERS):
    return pytest.mark.parametrize("optimizer", cases, ids=lambda case: case.name)


def attach(
    case: OptimizerCase, model: nn.Module, weight_decay: float = 0.0
) -> Optimizer:
    parameters = [
        p for p in model.parameters() if p.ndim == 2 or not case.matrices_only
    ]
    optimizer = case.build(parameters, weight_decay)
    for group in optimizer.param_groups if isinstance(model, Circuits) else ():
        group["lr"] *= (
            0.1  # circuits diverge where dense networks do not, and NaN has no sign
        )
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
            EILinear(CELLS, 8, **kw),
            nn.ReLU(),
            DANNLinear(8, 6, 2, shunting=True, **kw),
            nn.ReLU(),
            DANNLinear(6, 5, 1, **kw),
            nn.ReLU(),
            plain,
        )
    )


class Circuits(nn.Module):
    """Every kind of recurrent layer, stacked, masked, leaky, shunting, sparse; rows of the input are time steps.

    Time constants learn, tied by population and unit by unit, and there is noise of every kind;
    rates adapt, and synapses depress.
    """

    def __init__(self, **kw) -> None:
        super().__init__()
        mask = torch.ones(9, 9).tril(-1)
        mask[0, 5] = mask[2, 8] = 1
        self.ei = EIRNN(
            Populations(6, 3),
            CELLS,
            2,
            mask=mask,
            dt_ms=20,
            tau_ms={"E": 50, "PV": 40, "SST": 30},
            train_tau=True,
            input_noise=0.01,
            train_initial_state=True,
            **kw,
        )
        self.sparse = EIRNN(
            CELLS,
            Populations(6, 3),
            mask=mask.bool(),
            input_mask=0.8,
            sparse=True,
            lr_scale=torch.tensor([1.0] * 6 + [0.5] * 3).expand(9, 9),
            dt_ms=20,
            tau_ms=200,
            **kw,
        )
        plastic = ShortTermPlasticity(1500, 200, 0.15, over=RectifiedLeak())
        leak = {"dt_ms": 20, "tau_ms": 40, "dynamics": plastic}
        self.dann = DANNRNN(9, 6, 2, 2, mask=0.7, **leak, **kw)
        self.shunting = DANNRNN(6, 5, 2, shunting=True, train_initial_state=True, **kw)
        timed = {"dt_ms": 20, "tau_ms": 60, "train_tau": True, "rate_noise": 0.01}
        timed["dynamics"] = Adaptation([100, 200, 300, 50, 50], 0.1)
        self.cell = EIRNNCell(
            5, Populations(3, 2), nonlinearity="softplus", **timed, **kw
        )
        self.dann_cell = DANNRNNCell(5, 4, 2, shunting=True, **kw)
        self.readout = Readout(Populations(3, 1), 3, **kw)

    def forward(self, x):
        rates, _ = self.shunting(self.dann(self.sparse(self.ei(x)[0])[0])[0])
        return self.readout(self.dann_cell(self.cell.rates(self.cell(rates))))


class Images(nn.Module):
    """Every kind of convolution, with torch's own; rows of the input are images of 3 x 3."""

    def __init__(self, **kw) -> None:
        super().__init__()
        self.first = EIConv2d(1, 6, 2, padding=1, **kw)
        channels = Populations.of(exc={"E": 4}, inh={"PV": 1, "SST": 1})
        self.second = EIConv2d(channels, 4, 3, padding=1, groups=2, **kw)
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


def _built_once(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Build a network once for each start of the global generator, and give copies of it.

    To build every kind of circuit takes longer than to train it for a few steps. The generator
    goes on from a copy as from the network that was built.
    """
    kept: dict[tuple[object, ...], tuple[nn.Module, torch.Tensor]] = {}

    @functools.wraps(make)
    def build(**options: object) -> nn.Module:
        start = torch.get_rng_state().numpy().tobytes()
        key = (start, *sorted(options.items()))
        if key not in kept:
            # A test that draws much has ever new starts, and memory has an end.
            if len(kept) == 50:
                kept.clear()
            kept[key] = make(**options), torch.get_rng_state()
        model, end = kept[key]
        torch.set_rng_state(end)
        return copy.deepcopy(model)

    return build


NETWORKS = {
    "dense": _built_once(network),
    "recurrent": _built_once(Circuits),
    "convolutional": _built_once(Images),
}


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


# -- layers of strangers -----------------------------------------------------------------------------------------------


class Zebra(EILinear):
    pass


class Okapi(DANNLinear):
    pass


class Gnu(EIConv1d):
    pass


class Kudu(EIConv2d):
    pass


class Eland(DANNConv1d):
    pass


class Oryx(DANNConv2d):
    pass


class Heron(EIRNN):
    pass


class Stork(DANNRNN):
    pass


class Ibis(EIRNNCell):
    pass


class Crane(DANNRNNCell):
    pass


class Otter(nn.Linear):
    pass


class Marten(nn.Conv2d):
    pass


class Badger(nn.ConvTranspose1d):
    pass


class Lynx(nn.RNN):
    pass


class Stoat(nn.LSTM):
    pass


class Weasel(nn.GRUCell):
    pass


class Scratch(nn.Module):
    """A dense layer written against the protocol, with no class of daleml above it and names of its own."""

    def __init__(self, populations: Populations, n_post: int) -> None:
        super().__init__()
        self.unit_signs = populations.signs()
        self.synapses = nn.Parameter(torch.empty(n_post, populations.size))
        self.offset = nn.Parameter(torch.zeros(n_post))
        signs.fix(self, "synapses", self.unit_signs, role="weight")
        signs.declare(self, "offset", role="bias")
        self.redraw_(draw=torch_exponential)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.synapses.T + self.offset

    def plastic_weights(self):
        return [SynapticWeight("synapses", bias="offset")]

    def effective_weight(self):
        return self.synapses

    @torch.no_grad()
    def redraw_(self, *, draw, ratio=1.0, generator=None):
        column_ei_(
            self.synapses,
            self.unit_signs,
            draw=redraw.for_column_ei(draw, ratio),
            generator=generator,
        )

    def output_signs(self):
        return None


def torch_exponential(tensor, mean, *, generator=None):
    return tensor.exponential_(1 / mean, generator=generator)


class Weights(NamedTuple):
    input: torch.Tensor
    recurrent: torch.Tensor


class ScratchRecurrent(nn.Module):
    """A circuit written against the protocol: rates of one layer over steps, batches second."""

    batch_first = False

    def __init__(self, inputs: Populations, populations: Populations) -> None:
        super().__init__()
        self.inputs, self.populations = inputs, populations
        n = populations.size
        self.afferent = nn.Parameter(torch.empty(n, inputs.size))
        self.lateral = nn.Parameter(torch.empty(n, n))
        self.looks = []
        signs.fix(self, "afferent", inputs)
        signs.fix(self, "lateral", populations)
        self.redraw_(draw=torch_exponential)

    def forward(self, x, hx=None):
        state = begun = (
            x.new_zeros(x.shape[1], self.populations.size) if hx is None else hx
        )
        rates = []
        for rows in x:
            state = (rows @ self.afferent.T + state @ self.lateral.T).relu()
            rates.append(state)
        for look in self.looks:
            look("", x.flatten(0, 1), begun, torch.cat(rates), (x.shape[1],) * len(x))
        return torch.stack(rates), state

    def plastic_weights(self):
        return [SynapticWeight("afferent"), SynapticWeight("lateral", "state")]

    def effective_weights(self):
        return Weights(self.afferent, self.lateral)

    @torch.no_grad()
    def redraw_(self, *, draw, ratio=1.0, generator=None):
        for weight, pre in (
            (self.afferent, self.inputs),
            (self.lateral, self.populations),
        ):
            column_ei_(weight, pre.signs(), draw=draw, generator=generator).mul_(0.3)

    def output_signs(self):
        return self.populations.signs()

    def rates(self, state):
        return state

    def register_layer_hook(self, look):
        self.looks.append(look)
        return Removal(self.looks, look)


@dataclass
class Removal:
    looks: list
    look: Callable

    def remove(self):
        self.looks.remove(self.look)


@dataclass(frozen=True)
class StrangerCase:
    """A layer that no file of daleml knows, and one that daleml knows and that computes the same."""

    name: str
    build: Callable[[], nn.Module]
    twin: Callable[[], nn.Module] | None
    shape: tuple[int, ...]  # of a batch


PRE, POST = Populations(6, 3), Populations(4, 2)
LOWER = torch.ones(6, 6).tril(1).bool()
STRANGERS = [
    StrangerCase("EILinear", lambda: Zebra(PRE, 6), lambda: EILinear(PRE, 6), (5, 9)),
    StrangerCase(
        "EILinear excitatory only",
        lambda: Zebra(PRE, 6, excitatory_only=True),
        lambda: EILinear(PRE, 6, excitatory_only=True),
        (5, 9),
    ),
    StrangerCase(
        "DANNLinear", lambda: Okapi(9, 6, 2), lambda: DANNLinear(9, 6, 2), (5, 9)
    ),
    StrangerCase(
        "DANNLinear shunting",
        lambda: Okapi(9, 6, 2, shunting=True),
        lambda: DANNLinear(9, 6, 2, shunting=True),
        (5, 9),
    ),
    StrangerCase(
        "EIConv1d", lambda: Gnu(PRE, 6, 3), lambda: EIConv1d(PRE, 6, 3), (5, 9, 7)
    ),
    StrangerCase(
        "EIConv2d", lambda: Kudu(PRE, 6, 2), lambda: EIConv2d(PRE, 6, 2), (5, 9, 4, 4)
    ),
    StrangerCase(
        "DANNConv1d", lambda: Eland(9, 6, 3), lambda: DANNConv1d(9, 6, 3), (5, 9, 7)
    ),
    StrangerCase(
        "DANNConv2d", lambda: Oryx(9, 6, 2), lambda: DANNConv2d(9, 6, 2), (5, 9, 4, 4)
    ),
    StrangerCase(
        "EIRNN", lambda: Heron(PRE, POST), lambda: EIRNN(PRE, POST), (4, 5, 9)
    ),
    StrangerCase(
        "EIRNN of two layers",
        lambda: Heron(PRE, POST, 2),
        lambda: EIRNN(PRE, POST, 2),
        (4, 5, 9),
    ),
    StrangerCase(
        "EIRNN sparse",
        lambda: Heron(PRE, POST, mask=LOWER, sparse=True),
        lambda: EIRNN(PRE, POST, mask=LOWER, sparse=True),
        (4, 5, 9),
    ),
    StrangerCase(
        "DANNRNN", lambda: Stork(9, 6, 2), lambda: DANNRNN(9, 6, 2), (4, 5, 9)
    ),
    StrangerCase(
        "EIRNNCell", lambda: Ibis(PRE, POST), lambda: EIRNNCell(PRE, POST), (5, 9)
    ),
    StrangerCase(
        "DANNRNNCell", lambda: Crane(9, 6, 2), lambda: DANNRNNCell(9, 6, 2), (5, 9)
    ),
    StrangerCase("nn.Linear", lambda: Otter(9, 6), lambda: nn.Linear(9, 6), (5, 9)),
    StrangerCase(
        "nn.Conv2d", lambda: Marten(9, 6, 2), lambda: nn.Conv2d(9, 6, 2), (5, 9, 4, 4)
    ),
    StrangerCase(
        "nn.ConvTranspose1d",
        lambda: Badger(9, 6, 2, groups=3),
        lambda: nn.ConvTranspose1d(9, 6, 2, groups=3),
        (5, 9, 7),
    ),
    StrangerCase("nn.RNN", lambda: Lynx(9, 6), lambda: nn.RNN(9, 6), (4, 5, 9)),
    StrangerCase(
        "nn.LSTM",
        lambda: Stoat(9, 6, 2, bidirectional=True),
        lambda: nn.LSTM(9, 6, 2, bidirectional=True),
        (4, 5, 9),
    ),
    StrangerCase("nn.GRUCell", lambda: Weasel(9, 6), lambda: nn.GRUCell(9, 6), (5, 9)),
    StrangerCase("from scratch", lambda: Scratch(PRE, 6), None, (5, 9)),
    StrangerCase(
        "from scratch, recurrent", lambda: ScratchRecurrent(PRE, POST), None, (4, 5, 9)
    ),
]


def strangers(cases=STRANGERS):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)
