"""Articles of clothing, learned by networks of the published size from all published images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from daleml._support import seeds
from daleml.datasets import fashion_mnist
from daleml.optim import enforce, param_groups
from daleml.reproductions import digit_networks, harness
from daleml.reproductions.absent_files import fashion_mnist_absent
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.harness import Images
from daleml.reproductions.papers.dann_cornford2021.networks import (
    build_dann,
    build_mlp,
)
from daleml.training import Shuffled

MLP_RATE, DANN_RATE = 0.2976, 0.1107
"""The learning rates of the released configurations, which are for MNIST."""

# The key of a stream of random numbers of one seed, beside that of the epochs' order.
_NETWORK = 1


def run_clothing(seed: int, settings: Settings) -> Numbers:
    """Train an MLP and a Dale's ANN, and judge both by the published test images."""
    data = fashion_mnist(published=True)
    shown, judged = harness.train_images(data), harness.test_images(data)
    pixels = shown.x.shape[1]
    sizes = digit_networks.layer_sizes(pixels, settings["hidden"])
    mlp = build_mlp(0.0, seeds.generator(seed, 0, _NETWORK), sizes)
    dann = build_dann(0.0, seeds.generator(seed, 0, _NETWORK), sizes)
    descent = torch.optim.SGD(mlp.parameters(), MLP_RATE)
    corrected = torch.optim.SGD(param_groups(dann, DANN_RATE), DANN_RATE)
    enforce(corrected, dann)
    numbers: Numbers = {}
    for name, model, optimizer in (("mlp", mlp, descent), ("dann", dann, corrected)):
        batches = _batches(shown, seed)
        numbers[f"{name}/error"] = _error(
            model, optimizer.step, batches, judged, settings
        )
    return numbers | {"dann - mlp": numbers["dann/error"] - numbers["mlp/error"]}


def _batches(shown: Images, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end, in another order in each epoch."""
    shuffled = Shuffled(shown.x, shown.y, harness.BATCH, seed)
    for epoch in itertools.count(1):
        yield from shuffled(epoch)


def _error(
    model: nn.Module,
    step: Callable[[], object],
    batches: Iterator[tuple[Tensor, Tensor]],
    judged: Images,
    settings: Settings,
) -> float:
    """Train a network, and return its mean test error in % at the last judgements."""
    updates, every, times = (settings[one] for one in ("updates", "every", "times"))
    errors = []
    for done in range(1, updates + 1):
        x, y = next(batches)
        model.zero_grad()
        cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        step()
        left = updates - done
        if left % every == 0 and left < every * times:
            with torch.no_grad():
                wrong = model(judged.x).argmax(dim=1) != judged.y
            errors.append(100 * float(wrong.double().mean()))
    return sum(errors) / len(errors)


# At the paper's batches of 32, 60,000 images are 1,875 updates; the paper has fifty times those.
_EPOCH = 1875
_LAST = {"hidden": 500, "every": 375, "times": 5}
CLOTHING = Experiment(
    "dann clothing",
    run_clothing,
    settings={
        "quick": _LAST | {"updates": _EPOCH},
        "paper": _LAST | {"updates": 5 * _EPOCH},
        "long": _LAST | {"updates": 50 * _EPOCH},
    },
    seeds={"quick": 0, "paper": 6, "long": 6},
    minutes={"quick": 0.4, "paper": 2.0, "long": 20.0},
    absent=fashion_mnist_absent,
)
