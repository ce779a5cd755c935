"""The demo: four networks learn digits, prove their signs, and have their synapses fitted beside real ones.

It composes the package; what it finds goes to ``results.json``, ``report.html`` and PNGs.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import math
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

import daleml
from daleml import Populations, _checks, _files, signs, trackers
from daleml.analysis import WeightSample, compare_families, fit_weights, weight_samples
from daleml.datasets import ImageSplit, celegans, digits, fly_visual
from daleml.layers import DANNLinear, EILinear, init
from daleml.optim import EG, enforce, param_groups
from daleml.training import Shuffled, train

if TYPE_CHECKING:
    import pandas as pd

HIDDEN, LAYERS, N_INH, BATCH = 100, 3, 10, 32


# -- the four networks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """One way to build and train a network.

    Attributes:
        key: Short name, for files and ``results.json``.
        label: Name a reader sees.
        build: Makes the network from its input statistics and a generator.
        optimizer: Makes the optimiser.
        lr: Its learning rate.
        guarded: Whether ``enforce`` keeps the signs.
    """

    key: str
    label: str
    build: Callable[[ImageSplit, torch.Generator], nn.Sequential]
    optimizer: Callable[[nn.Module, float], Optimizer]
    lr: float
    guarded: bool = False


def _stack(layers: list[nn.Module]) -> nn.Sequential:
    """Put a ReLU between layers."""
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])


def build_mlp(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build an ordinary network, He-initialised, with a gain of 1 for the first layer."""
    sizes = [data.train_x.shape[1], *[HIDDEN] * LAYERS, 10]
    layers = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)]
    for i, layer in enumerate(layers):
        nn.init.normal_(layer.weight, std=math.sqrt((2 if i else 1) / layer.in_features), generator=generator)
        nn.init.zeros_(layer.bias)
    return _stack(list(layers))


def build_column_ei(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network: excitatory pixels, and one inhibitory hidden unit to ten excitatory ones."""
    hidden = Populations(HIDDEN, HIDDEN // 10)
    populations = [Populations(data.train_x.shape[1]), *[hidden] * LAYERS]
    layers = [EILinear(pre, post) for pre, post in zip(populations, [hidden.size] * LAYERS + [10], strict=True)]
    for layer, mean in zip(layers, [data.pixel_mean] + [init.RECTIFIED_MEAN] * LAYERS, strict=True):
        column_signs = layer.populations.signs()
        init.column_ei_(layer.weight, column_signs, layer.bias, input_mean=mean, generator=generator)
    return _stack(list(layers))


def build_dann(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a Dale's ANN with shunting inhibition, its excitatory weights log-normal from the start."""
    sizes = [data.train_x.shape[1], *[HIDDEN] * LAYERS, 10]
    layers = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layer = DANNLinear(n_in, n_out, n_inh=N_INH if n_out == HIDDEN else 1, shunting=True)
        weights = layer.weight_ex, layer.weight_ix, layer.weight_ei, layer.alpha
        init.dann_(*weights, numerator=2.0 if i else 1.0, draw=init.lognormal_, generator=generator)
        layers.append(layer)
    return _stack(list(layers))


def sgd(model: nn.Module, lr: float) -> Optimizer:
    """Make plain gradient descent, one learning rate for all."""
    return SGD(model.parameters(), lr)


def corrected_sgd(model: nn.Module, lr: float) -> Optimizer:
    """Make gradient descent with a DANN's corrections as learning rates."""
    return SGD(param_groups(model, lr), lr)


def corrected_eg(model: nn.Module, lr: float) -> Optimizer:
    """Make exponentiated gradient with the same corrections."""
    return EG(param_groups(model, lr), lr)


ARMS = (
    Arm("mlp", "MLP, gradient descent", build_mlp, sgd, 0.1),
    Arm("column_ei", "column EI, guarded SGD", build_column_ei, sgd, 0.1, guarded=True),
    Arm("dann_sgd", "DANN, guarded SGD", build_dann, corrected_sgd, 0.1, guarded=True),
    Arm("dann_eg", "DANN, EG", build_dann, corrected_eg, 0.3),
)


# -- learning ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trained:
    """One network before and after learning, with its history."""

    arm: Arm
    seed: int
    before: nn.Module
    after: nn.Module
    history: pd.DataFrame

    @property
    def test_error(self) -> float:
        """Mean fraction of test digits missed, over the last five epochs."""
        return float(self.history["test/error"].iloc[1:].tail(5).mean())


def learn(arm: Arm, seed: int, data: ImageSplit, epochs: int, folder: Path | None = None) -> Trained:
    """Train one network, its signs judged after every step; go on from ``folder`` if it was interrupted there."""
    model = arm.build(data, torch.Generator().manual_seed(seed))
    before = copy.deepcopy(model)
    optimizer = arm.optimizer(model, arm.lr)
    if arm.guarded:
        enforce(optimizer, model)
    watched = {
        "test": trackers.held_out(data.test_x, data.test_y, cross_entropy),
        "sign_flips": trackers.sign_flips(model),
        "signs": _counted_after_every_step(optimizer, model),
        **trackers.DEFAULT,
    }
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    batches = Shuffled(data.train_x, data.train_y, BATCH, seed)
    history = train(
        model, batches, optimizer, cross_entropy,
        epochs=epochs, trackers=watched, scheduler=schedule, checkpoint=folder, progress=False,
    )  # fmt: skip
    return Trained(arm, seed, before, model, history)


def _counted_after_every_step(optimizer: Optimizer, model: nn.Module) -> trackers.Tracker:
    """Judge the signs after every step; as a tracker, tell how many steps an epoch had and how many broke the law."""
    count = {"steps": 0, "lawless_steps": 0}

    def judge(*_: object) -> None:
        count["steps"] += 1
        count["lawless_steps"] += not signs.check(model)

    optimizer.register_step_post_hook(judge)

    def told(_: nn.Module) -> Mapping[str, float]:
        result = {name: float(value) for name, value in count.items()}
        count.update(steps=0, lawless_steps=0)
        return result

    return told


# -- what is found -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """What one arm did, over its seeds. Errors and flips are fractions; those of the test set are of 360 digits."""

    label: str
    lr: float
    test_error: list[float]
    train_loss: list[float]
    sign_flips: list[float]
    sign_violations: list[list[float]]
    steps: int
    lawless_steps: int
    n_synapses: int
    ks_lognormal_before: list[float]
    ks_lognormal: list[float]
    fraction_at_zero: list[float]
    svd_entropy: dict[str, list[float]] = field(default_factory=dict)


def summarise(runs: list[Trained]) -> Summary:
    """Gather the runs of one arm."""
    histories = [run.history for run in runs]
    lawful = signs.check(runs[0].after).n_parameters > 0
    entropies = [column for column in histories[0].columns if column.startswith("svd_entropy/")]
    return Summary(
        label=runs[0].arm.label,
        lr=runs[0].arm.lr,
        test_error=[run.test_error for run in runs],
        train_loss=[float(history["loss"].iloc[-1]) for history in histories],
        sign_flips=[float(history["sign_flips"].iloc[-1]) for history in histories],
        sign_violations=[history["sign_violations"].tolist() for history in histories] if lawful else [],
        steps=int(sum(history["signs/steps"].sum() for history in histories)),
        lawless_steps=int(sum(history["signs/lawless_steps"].sum() for history in histories)),
        n_synapses=signs.check(runs[0].after).n_synapses,
        ks_lognormal_before=[_mean_ks(run.before) for run in runs],
        ks_lognormal=[_mean_ks(run.after) for run in runs],
        fraction_at_zero=[float(history["fraction_at_zero"].iloc[-1]) for history in histories],
        svd_entropy={
            name.partition("/")[2]: [float(np.mean([h[name].iloc[i] for h in histories])) for i in (0, -1)]
            for name in entropies
        },
    )


def _hidden(name: str) -> bool:
    """Whether a sample is of excitatory weights onto hidden units: the matrices with thousands of synapses."""
    path, _, rest = name.partition(".")
    return path != str(2 * LAYERS) and rest.removesuffix(" E") in ("weight", "weight_ex")


def _mean_ks(model: nn.Module) -> float:
    """Mean, over hidden matrices, of the distance of z-scored ln|w| from the normal."""
    samples = weight_samples(model)
    return float(np.mean([fit_weights(samples[name]).ks_distance() for name in samples if _hidden(name)]))


def synapse_table(model: nn.Module) -> list[dict[str, Any]]:
    """Fit every population of synapses of a network: by parameter, E and I apart."""
    return [_fit_row(name, sample) for name, sample in weight_samples(model).items()]


def _fit_row(name: str, sample: WeightSample | NDArray[np.float64]) -> dict[str, Any]:
    comparison = compare_families(sample)
    lognormal = comparison["lognormal"]
    return {
        "synapses": name,
        "n": lognormal.n,
        "zeros": lognormal.n_zero,
        "best family": comparison.best.family,
        "log-normal behind by (AICc)": lognormal.aicc - comparison.best.aicc,
        "sigma of ln|w|": lognormal.params["sigma"],
        "± s.e.": lognormal.stderr["sigma"],
        "KS from log-normal": lognormal.ks_distance(),
    }


# -- the whole run -----------------------------------------------------------------------------------------------------


def run(
    output: Path, *, epochs: int = 30, seeds: int = 3, jobs: int | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run the demo and write ``results.json``, ``report.html`` and the figures.

    Interrupted, it goes on where it was when it is started again with the same settings and output folder.

    Args:
        output: Folder for what it writes; made if missing.
        epochs: Epochs each network learns for.
        seeds: Number of seeds; each makes its own networks and order of digits.
        jobs: Number of networks to train at once, each in a process of its own; default: as many as there are cores.
        say: Called with a line of progress.

    Returns:
        What ``results.json`` holds.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a number is below 1.
    """
    from daleml import demo_page

    _checks.integer("epochs", epochs, minimum=1)
    _checks.integer("seeds", seeds, minimum=1)
    n_jobs = joblib.cpu_count() if jobs is None else _checks.integer("jobs", jobs, minimum=1)
    output.mkdir(parents=True, exist_ok=True)
    started, data, unfinished = time.perf_counter(), digits(), output / ".unfinished"
    runs: dict[str, list[Trained]] = {arm.key: [] for arm in ARMS}
    wanted = [(arm, seed) for arm in ARMS for seed in range(seeds)]
    pool = joblib.Parallel(n_jobs=min(n_jobs, len(wanted)), return_as="generator")
    for trained in pool(
        joblib.delayed(_learn_on_one_thread)(arm, seed, data, epochs, unfinished / f"{arm.key}-{seed}-of-{epochs}")
        for arm, seed in wanted
    ):
        runs[trained.arm.key].append(trained)
        say(f"{trained.arm.label}, seed {trained.seed}: {trained.test_error:.2%} of test digits missed")
    brains = [celegans(), fly_visual()]
    results = {
        "versions": {"daleml": daleml.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "settings": {
            "epochs": epochs,
            "seeds": seeds,
            "batch": BATCH,
            "hidden": [HIDDEN] * LAYERS,
            "n_inh": N_INH,
            "n_train": len(data.train_y),
            "n_test": len(data.test_y),
        },
        "arms": {key: dataclasses.asdict(summarise(arm)) for key, arm in runs.items()},
        "history": {key: [one.history.to_dict("list") for one in arm] for key, arm in runs.items()},
        "synapses": {key: synapse_table(arm[0].after) for key, arm in runs.items()},
        "brains": {brain.name: [_fit_row(name, brain.weights(sign)) for name, sign in SIGNS] for brain in brains},
    }
    say("drawing the report")
    drawings = dict(demo_page.draw(runs, brains))
    results["seconds"] = time.perf_counter() - started
    for name, drawing in drawings.items():
        _files.write(output / f"{name}.png", functools.partial(_write_bytes, content=drawing.png()))
    _files.write_text(output / "report.html", demo_page.compose(results, drawings, brains))
    _files.write_json(output / "results.json", results)
    shutil.rmtree(unfinished, ignore_errors=True)
    return results


SIGNS = (("all", None), ("E", 1), ("I", -1))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _learn_on_one_thread(*arguments: Any) -> Trained:
    """Learn on one thread: these matrices are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return learn(*arguments)
    finally:
        torch.set_num_threads(threads)
