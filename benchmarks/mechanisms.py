"""Projection, reparametrisation and EG side by side on digits.

What each costs, and what it makes of the weights.

Learning rates are chosen by one rule for all, on a fifth of the training digits; the test
digits judge once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats
from torch import nn

from daleml import signs
from daleml.analysis import weight_samples
from daleml.datasets import digits
from daleml.demo.dense_networks import build_column_ei, build_dann
from daleml.optim import Exponentiation, Projection, Reparametrization
from daleml.reproductions.harness import ValidationScore, best_by_validation

MECHANISMS = {
    "projection": Projection(),
    "abs": Reparametrization(),
    "EG": Exponentiation(),
}
NETWORKS = {"DANN": build_dann, "column EI": build_column_ei}
OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}, (0.01, 0.03, 0.1, 0.3)),
    "AdamW": (torch.optim.AdamW, {}, (0.001, 0.003, 0.01, 0.03)),
}
DECAYS = (0.0, 0.001)
EPOCHS, BATCH, SEEDS, TRIAL_SEEDS = 12, 50, (1, 2, 3), (11, 12)


def learn(network, mechanism, optimizer, lr, decay, seed, train, test, data):
    """Return the trained model, its percentage wrong, and seconds a step."""
    build, options, _ = OPTIMIZERS[optimizer]
    rng = torch.Generator().manual_seed(seed)
    model = NETWORKS[network](data, rng)
    built = MECHANISMS[mechanism].attach(
        model, lr, optimizer=build, weight_decay=decay, **options
    )
    took = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(train[1]), generator=rng).split(BATCH):
            built.zero_grad()
            nn.functional.cross_entropy(
                model(train[0][batch]), train[1][batch]
            ).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            start = time.perf_counter()
            built.step()
            took.append(time.perf_counter() - start)
    MECHANISMS[mechanism].detach(model)
    signs.check(model).raise_for_violations()
    with torch.no_grad():
        wrong = 100 * (model(test[0]).argmax(1) != test[1]).double().mean().item()
    return model, wrong, statistics.median(took)


def rows(data) -> Iterator[tuple[str, ...]]:
    """Yield one row a network, optimiser, decay and mechanism."""
    n_fit = len(data.train_y) * 4 // 5
    fit = data.train_x[:n_fit], data.train_y[:n_fit]
    held_out = data.train_x[n_fit:], data.train_y[n_fit:]
    whole, test = (data.train_x, data.train_y), (data.test_x, data.test_y)
    arms = [(n, o, d) for n in NETWORKS for o in OPTIMIZERS for d in DECAYS]
    for network, optimizer, decay in track(arms, description="learning"):
        baseline = None
        for mechanism in MECHANISMS:
            arm = network, mechanism, optimizer
            scores = {}
            for lr in OPTIMIZERS[optimizer][2]:
                wrong = [
                    learn(*arm, lr, decay, seed, fit, held_out, data)[1]
                    for seed in TRIAL_SEEDS
                ]
                scores[lr] = ValidationScore(sum(wrong))
            chosen = best_by_validation(scores)
            runs = [
                learn(*arm, chosen, decay, seed, whole, test, data) for seed in SEEDS
            ]
            errors = [wrong for _, wrong, _ in runs]
            seconds = statistics.median(took for *_, took in runs)
            baseline = baseline or seconds
            zeros, distance = zip(*(shape(model) for model, *_ in runs), strict=True)
            yield (
                network, optimizer, f"{decay:g}", mechanism, f"{chosen:g}",
                f"{statistics.mean(errors):.1f} ± {statistics.stdev(errors):.1f}",
                f"{100 * statistics.mean(zeros):.0f} %", f"{statistics.mean(distance):.3f}",
                f"{seconds / baseline:.2f}",
            )  # fmt: skip


def shape(model) -> tuple[float, float]:
    """Return the fraction of exact zeros, and the distance from log-normal.

    The distance is that of the logarithms of the largest weight from a normal distribution.
    """
    weights = [
        parameter for _, parameter, _ in signs.named(model) if parameter.ndim > 1
    ]
    zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
    distances = []
    for sample in weight_samples(model).values():
        if sample.n >= 1000:
            logs = torch.as_tensor(sample.values()).log()
            distances.append(
                stats.kstest(
                    ((logs - logs.mean()) / logs.std()).numpy(), "norm"
                ).statistic
            )
    return zeros, statistics.mean(distances)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    table = Table(
        title="Three ways to keep Dale's law, on digits; three seeds",
        title_justify="left",
    )
    for column in (
        "network",
        "optimiser",
        "decay",
        "mechanism",
        "lr",
        "test error %",
        "zeros",
        "KS of ln w",
        "step time",
    ):
        table.add_column(column)
    for row in rows(digits()):
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
