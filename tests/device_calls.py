"""What runs on the make-believe device, in a process of its own: ``python -m tests.device_calls``.

The catalogue of layers, networks and optimisers, whole trainings, and the examples of all public
names, with the device as torch's default. It prints one line of JSON: what failed, and why.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from daleml import Populations, dalify, signs
from daleml._support import devices
from daleml.layers import DANNRNN, EIRNN, DANNConv2d, EILinear
from daleml.optim import EG, EGAdamW, param_groups
from daleml.training import Shuffled, train
from tests import catalog
from tests import make_believe_device as device
from tests._training import training_on_device

QUICK = (
    "layers",
    "layers.dynamics",
    "layers.functional",
    "layers.init",
    "layers.perturbations",
    "optim",
    "optim.functional",
    "signs",
    "modules",
    "potentials",
    "convert",
    "training",
    "callbacks",
    "trackers",
    "checkpoint",
    "tasks",
)
"""The packages whose examples take seconds, all together."""
PACKAGES = (*QUICK, "analysis", "analysis.activity", "learning", "odes")
NO_CALLS = {
    "DEPRESSING": "numbers",
    "FACILITATING": "numbers",
    "RECTIFIED_MEAN": "a number",
    "adam_reach": "a function of numbers",
    "Batch": "the name of a type",
    "Batches": "the name of a type",
    "Callback": "the name of a type",
    "CheckpointError": "an error",
    "DivergedError": "an error",
    "DivergenceError": "an error",
    "CurveVerdict": "an enumeration",
    "PointKind": "an enumeration",
    "Stability": "an enumeration",
    "StartVerdict": "an enumeration",
    "TimesVerdict": "an enumeration",
}
"""Public names that have no example to run."""
BY_HAND = {
    "EquilibriumPropagation": "its example learns from data on the CPU; see `equilibrium`",
    "RobertsonODE": "the make-believe device has no batched derivatives of torch.func",
    "Robertson": "the make-believe device has no batched derivatives of torch.func",
    "rosenbrock": "the make-believe device has no batched derivatives of torch.func",
}
"""Public names whose examples are not run here."""


def public(package: str) -> dict[str, Any]:
    """Return the public names of a package, other than modules."""
    home = importlib.import_module(f"daleml.{package}")
    names = getattr(home, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(home).items()
            if getattr(value, "__module__", None) == home.__name__ and name[0] != "_"
        ]
    found = {name: getattr(home, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if not isinstance(value, types.ModuleType)
    }


def examples(name: str, value: Any) -> list[doctest.DocTest]:
    """Return the examples of a public name and of its methods."""
    home = sys.modules.get(getattr(value, "__module__", ""), None)
    globs = {} if home is None else dict(vars(home))
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return []
    found = doctest.DocTestFinder().find(value, name, module=False, globs=globs)
    return [one for one in found if one.examples]


class _Runner(doctest.DocTestRunner):
    """Runs examples; what they print may differ here, what they raise may not."""

    raised: BaseException | None = None

    def report_failure(self, *args: Any) -> None:
        pass

    def report_unexpected_exception(
        self, out: Any, test: Any, example: Any, exc_info: Any
    ) -> None:
        self.raised = self.raised or exc_info[1]


def run_examples(package: str) -> Iterator[tuple[str, str]]:
    """Run the examples of a package with the device as torch's default; yield what fails."""
    here = torch.device(device.NAME)
    for name, value in public(package).items():
        for test in () if name in BY_HAND else examples(name, value):
            runner = _Runner(verbose=False)
            with here:
                runner.run(test, out=lambda text: None)
            if runner.raised is None:
                continue
            said = _described(runner.raised)
            # A line of an example may draw by a generator of the CPU; a real device refuses.
            if device.is_real() and "Expected a '" in said:
                continue
            yield f"{package}.{test.name}", said


def _described(error: BaseException) -> str:
    lines = traceback.extract_tb(error.__traceback__)
    ours = [f"{one.filename}:{one.lineno}" for one in lines if "daleml" in one.filename]
    return f"{type(error).__name__}: {str(error)[:300]} ({', '.join(ours[-3:])})"


# -- rows --------------------------------------------------------------------------------------------

Row = tuple[str, Callable[[], None]]


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def _on(module: nn.Module) -> nn.Module:
    return module.to(device.NAME)


def _drawing(tensor: torch.Tensor, generator: None) -> torch.Tensor:
    return tensor.normal_(generator=_seeded())


def strictness() -> None:
    """See that the device refuses and counts what CUDA would, and nothing else."""
    there = torch.rand(3).to(device.NAME)
    with pytest.raises(device.RefusedError, match="on the same device"):
        there + torch.rand(3)
    with pytest.raises(TypeError, match="to numpy"):
        there.numpy()
    with pytest.raises(device.RefusedError, match="type for generator"):
        # Called by a line of daleml; a test's own lines may, since examples do.
        devices.drawn_(_drawing, there, generator=None)
    assert ((there + torch.tensor(1.0)) > there + 0.5).all()
    with device.without_float64():
        assert devices.widest(there.device) == torch.float32
        with pytest.raises(device.RefusedError, match="does not support"):
            there.double()
    assert devices.widest(there.device) == torch.float64
    with device.counted() as waits:
        bool(there.sum() > 0)
        there.cpu()
        there[there > 0.5]
        there.copy_(torch.zeros(3))
        there.mul_(2).add_(there)
    assert waits.by_kind == {
        "item": 1,
        "from the device": 1,
        "index by a mask": 1,
        "to the device": 1,
    }


def layer(case: catalog.LayerCase) -> None:
    """Build, run, learn, judge, save, load and move a layer; drawn as on the CPU."""
    built = []
    for where in (device.NAME, "cpu"):
        # A mask is drawn by torch's global generator, which is the CPU's.
        torch.manual_seed(0)
        built.append(case.build(device=where))
        built[-1].reset_parameters(_seeded())
    module, twin = built
    for (name, here), there in zip(
        module.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert torch.equal(here.cpu(), there), f"{name} was drawn otherwise"
    x = torch.rand(2, *case.in_shape)
    output = module(x.to(device.NAME))
    torch.testing.assert_close(output.cpu(), twin(x), rtol=1e-5, atol=1e-6)
    output.sum().backward()
    assert signs.check(signs.project_(module))
    twin.load_state_dict(module.state_dict())
    module.load_state_dict(twin.state_dict())
    _on(module.cpu())


def network(name: str, optimizer: catalog.OptimizerCase) -> None:
    """Train a network: after its first step the host waits for nothing."""
    torch.manual_seed(0)
    model = catalog.NETWORKS[name](device=device.NAME)
    stepper = catalog.attach(optimizer, model)
    x = torch.rand(4, 9).to(device.NAME)
    catalog.step(model, stepper, x)
    with device.counted() as waits:
        catalog.step(model, stepper, x)
    assert signs.check(model)
    # Who moves tensors to MPS waits for it.
    if optimizer.name in _WAITING or not device.has_float64():
        return
    assert not waits.total, f"waits for {dict(waits.by_place)}"


def recorded() -> None:
    """Step with rates on the device, as a CUDA graph would record it: nothing is asked for."""
    for build in (EG, EGAdamW):
        model = catalog.network(device=device.NAME)
        groups = list(param_groups(model, 0.1))
        for group in groups:
            group["lr"] = torch.tensor(group["lr"]).to(device.NAME)
        optimizer = build(groups, 0.1, weight_decay=0.01, capturable=True)
        x = torch.rand(4, 9).to(device.NAME)
        catalog.step(model, optimizer, x)
        with device.counted() as waits:
            optimizer.step()
        assert not waits.total, f"waits for {dict(waits.by_place)}"


_WAITING = {"LBFGS", "Rprop", "Adafactor", "ASGD"}
"""Those of torch's optimisers that ask for values themselves, as they do on CUDA."""


def circuits() -> None:
    """One generator on the CPU draws weights, masks and noise; they run as on the CPU."""
    inputs = torch.rand(5, 2, 3)
    options = {
        "mask": 0.5,
        "dt_ms": 10,
        "tau_ms": [20.0] * 8 + [30.0] * 4,
        "noise": 0.1,
        "input_noise": 0.1,
        "rate_noise": 0.1,
    }
    for dtype in (torch.float32, torch.float64):
        if dtype == torch.float64 and not device.has_float64():
            continue
        runs = []
        for where in ("cpu", device.NAME):
            kind = {"device": where, "dtype": dtype}
            rnn = EIRNN(3, Populations(8, 4), generator=_seeded(), **options, **kind)
            runs.append(rnn(inputs.to(where, dtype))[0].detach().cpu())
        assert torch.equal(*runs), f"{dtype} draws otherwise"
    rnn = _on(EIRNN(3, Populations(8, 4)))
    here = rnn(inputs.to(device.NAME))[0].cpu()
    torch.testing.assert_close(here, rnn.cpu()(inputs)[0])
    _on(rnn)
    packed = nn.utils.rnn.pack_sequence(
        [torch.rand(n, 3).to(device.NAME) for n in (5, 3, 2)]
    )
    rnn(packed)[1].sum().backward()
    with torch.device(device.NAME):
        assert DANNRNN(3, 12).weight_ex_hh_l0.device.type == device.NAME


def training() -> None:
    """Train on batches of the CPU; the host waits once an epoch, however many batches."""
    x, y = torch.rand(64, 6), torch.randint(0, 3, (64,))
    totals = []
    for size in (32, 8):
        model = _on(EILinear(Populations(4, 2), 3))
        optimizer = EG(param_groups(model, 0.1), 0.1, momentum=0.9)
        with device.counted() as waits:
            history = train(
                model,
                Shuffled(x, y, size),
                optimizer,
                nn.functional.cross_entropy,
                epochs=2,
                trackers={},
            )
        assert history["loss"].notna().iloc[-1]
        # Batches of the CPU are sent, and nothing is asked for.
        del waits.by_kind["to the device"]
        totals.append(waits.total)
    assert totals[0] == totals[1], f"waits by batch: {dict(waits.by_place)}"


def conversion() -> None:
    """Make networks of torch lawful where they are."""
    convolutional = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)
    )
    recurrent = nn.RNN(3, 8, nonlinearity="relu")
    for model, shape in ((convolutional, (4, 1, 8, 8)), (recurrent, (4, 2, 3))):
        converted = dalify(
            _on(model),
            example=torch.rand(shape).to(device.NAME),
            generator=_seeded(),
        )
        assert signs.check(converted.model)
    shunting = DANNConv2d(2, 3, 2, shunting=True, device=device.NAME)
    shunting(torch.rand(1, 2, 4, 4).to(device.NAME))


def equilibrium() -> None:
    """Estimate a gradient from settled states of a network that was moved."""
    from daleml.learning import EquilibriumPropagation, HolomorphicNetwork

    kind: dict[str, Any] = {"tolerance": 1e-3, "generator": _seeded()}
    net = _on(HolomorphicNetwork(6, [5], 3, **kind))
    net.reset_parameters(_seeded())
    rule = EquilibriumPropagation(net, n_points=2)
    x, y = torch.rand(4, 6), torch.tensor([0, 1, 2, 0])
    _, gradients, _ = rule.gradients(x.to(device.NAME), y.to(device.NAME))
    assert {one.device.type for one in gradients.values()} == {device.NAME}


def rows(full: bool) -> Iterator[Row]:
    """Yield what is run on the device as CUDA is, by name."""
    for case in catalog.LAYERS:
        yield f"layer {case.name}", lambda case=case: layer(case)
    few = {"Adam", "EG momentum", "EGAdamW", "Mirror p-norm"}
    for name in catalog.NETWORKS:
        for optimizer in catalog.OPTIMIZERS:
            if not full and optimizer.name not in few:
                continue
            # Its long steps make time constants infinite, on the CPU as here.
            if (name, optimizer.name) == ("recurrent", "LBFGS"):
                continue
            yield (
                f"{name} network by {optimizer.name}",
                lambda name=name, optimizer=optimizer: network(name, optimizer),
            )
    for row in (strictness, recorded, circuits, training, conversion, equilibrium):
        if row is not strictness or not device.is_real():
            yield row.__name__, row
    for row in training_on_device.ROWS:
        yield f"training: {row.__name__}", row


def rows_without_float64(full: bool) -> Iterator[Row]:
    """Yield what is run on the device as MPS is, by name."""
    for case in catalog.LAYERS:
        if full or case.name in ("EILinear by pathways", "DANNLinear shunting"):
            yield f"layer {case.name}", lambda case=case: layer(case)
    for name in catalog.NETWORKS:
        for optimizer in catalog.LAWFUL if full else catalog.LAWFUL[1:2]:
            yield (
                f"{name} network by {optimizer.name}",
                lambda name=name, optimizer=optimizer: network(name, optimizer),
            )
    of_training = training_on_device.ROWS if full else ()
    for row in (circuits, training, conversion, equilibrium, *of_training):
        yield row.__name__, row


def main(full: bool, real: str | None = None) -> None:
    """Run everything, and print what failed.

    Args:
        full: Whether to run what takes minutes, too.
        real: A device that there is, such as ``cuda``, instead of the make-believe one.
    """
    warnings.simplefilter("ignore")
    kinds = [("", rows(full), nullcontext)]
    if real is None:
        device.install()
        kinds.append(
            ("without float64: ", rows_without_float64(full), device.without_float64)
        )
    else:
        device.use(real)
    failed: dict[str, str] = {}
    ran = 0
    for kind, found, block in kinds:
        with block():
            for name, row in found:
                ran += 1
                try:
                    row()
                except Exception as error:
                    failed[kind + name] = _described(error)
    for package in PACKAGES if full else QUICK:
        failed.update(run_examples(package))
    print(json.dumps({"ran": ran, "failed": failed}))
    if real is not None:
        sys.exit(bool(failed))


if __name__ == "__main__":
    devices_named = [one for one in sys.argv[1:] if one != "full"]
    main("full" in sys.argv[1:], next(iter(devices_named), None))
