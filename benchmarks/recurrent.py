"""Recurrent layers beside nn.RNN, and beside a loop that composes the weight at every step."""

import contextlib
import functools

import torch
from torch import nn

from benchmarks.memory import MemoryCase
from benchmarks.timing import Case
from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers.dynamics import (
    Adaptation,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
)

N_STEPS, N_SEQUENCES, N_INPUTS = 100, 64, 28
LEAK = {"dt_ms": 20, "tau_ms": 100}


def column_ei(n_units, **options):
    """Build a column-EI circuit, a fifth of it inhibitory."""
    return EIRNN(N_INPUTS, Populations.split(n_units), **options)


def dann(n_units):
    """Build a recurrent DANN."""
    return DANNRNN(N_INPUTS, n_units)


def plain(n_units):
    """Build what they replace."""
    return nn.RNN(N_INPUTS, n_units, nonlinearity="relu")


def recurrent_step(ours, baseline, n_sequences=N_SEQUENCES):
    """Compare two recurrent layers, each a function from sequences to rates.

    Forward and backward are timed together.
    """

    def setup():
        def ready(build):
            layer, run = build()
            x = torch.rand(N_STEPS, n_sequences, N_INPUTS)

            def call():
                layer.zero_grad()
                run(layer, x).sum().backward()

            return call

        return ready(ours), ready(baseline)

    return setup


def called(build, *args, **options):
    """Build a layer that is called as nn.RNN is."""
    return lambda: (build(*args, **options), lambda layer, x: layer(x)[0])


def step_by_step(rnn, x):
    """Run a leaky circuit as published code does.

    A loop in Python that composes the weight at every step.
    """
    alpha, state = rnn.leak, x.new_zeros(x.shape[1], rnn.hidden_size)
    sign, rates, outputs = rnn.populations.signs(), state, []
    for now in x:
        weight = rnn.weight_hh_l0.abs() * sign * rnn.weight_hh_l0_present
        drive = nn.functional.linear(now, rnn.weight_ih_l0, rnn.bias_ih_l0)
        received = drive + nn.functional.linear(rates, weight, rnn.bias_hh_l0)
        state = (1 - alpha) * state + alpha * received
        rates = state.relu()
        outputs.append(rates)
    return torch.stack(outputs)


CELL_STEPS, CELL_SEQUENCES, CELL_INPUTS, CELL_UNITS = 20, 32, 8, 100


def column_ei_cell(**options):
    """Build one step of a column-EI circuit."""
    return EIRNNCell(CELL_INPUTS, Populations.split(CELL_UNITS), **options)


def dann_cell():
    """Build one step of a recurrent DANN."""
    return DANNRNNCell(CELL_INPUTS, CELL_UNITS)


def rollout(ours, *, composed=False, backward=False):
    """Compare the steps of a cell, in a block of composed weights or not, with ``nn.RNNCell``'s."""

    def setup():
        x = torch.rand(CELL_STEPS, CELL_SEQUENCES, CELL_INPUTS)

        def ready(cell, block):
            def call():
                cell.zero_grad()
                state = torch.zeros(CELL_SEQUENCES, CELL_UNITS)
                with torch.set_grad_enabled(backward), block():
                    for now in x:
                        state = cell(now, state)
                if backward:
                    state.square().mean().backward()

            return call

        cell = ours()
        block = cell.composed if composed else contextlib.nullcontext
        plain_cell = nn.RNNCell(CELL_INPUTS, CELL_UNITS, nonlinearity="relu")
        return ready(cell, block), ready(plain_cell, contextlib.nullcontext)

    return setup


CELLS = (
    ("EIRNNCell", column_ei_cell, False),
    ("leaky EIRNNCell", functools.partial(column_ei_cell, **LEAK), False),
    ("masked EIRNNCell, composed", functools.partial(column_ei_cell, mask=0.2), True),
    ("DANNRNNCell", dann_cell, False),
    ("DANNRNNCell, composed", dann_cell, True),
)
DYNAMICS = {
    "short-term plasticity": lambda: ShortTermPlasticity.alternating(CELL_UNITS),
    "short-term plasticity over a rectified leak": lambda: (
        ShortTermPlasticity.alternating(CELL_UNITS, over=RectifiedLeak())
    ),
    "a leak of the rate": RateLeak,
    "a rectified leak": RectifiedLeak,
    "adaptation": lambda: Adaptation(200, 0.5),
}


def under(dynamics):
    """Build a leaky circuit under dynamics given as an object."""
    return column_ei(CELL_UNITS, dynamics=dynamics(), **LEAK)


CASES = [
    *(
        Case(
            f"EIRNN under {name}, {CELL_UNITS} units, {n_sequences} sequences",
            "leaky EIRNN",
            recurrent_step(
                called(under, dynamics),
                called(column_ei, CELL_UNITS, **LEAK),
                n_sequences,
            ),
            rounds=21,
        )
        for name, dynamics in DYNAMICS.items()
        for n_sequences in (4, N_SEQUENCES)
    ),
    *(
        Case(
            f"{CELL_STEPS} steps of {name}, {what}",
            "nn.RNNCell",
            rollout(build, composed=composed, backward=backward),
            rounds=41,
        )
        for name, build, composed in CELLS
        for what, backward in (("forward", False), ("forward and backward", True))
    ),
    *(
        Case(
            f"{name} forward and backward, {n_units} units",
            "nn.RNN",
            recurrent_step(called(*ours), called(plain, n_units)),
            rounds,
        )
        for n_units, rounds in ((128, 41), (512, 21), (1024, 11))
        for name, ours in (
            ("EIRNN", (column_ei, n_units)),
            ("DANNRNN", (dann, n_units)),
        )
    ),
    *(
        Case(
            f"leaky EIRNN forward and backward, {n_units} units",
            "nn.RNN",
            recurrent_step(called(column_ei, n_units, **LEAK), called(plain, n_units)),
            rounds,
        )
        for n_units, rounds in ((128, 41), (512, 21), (1024, 11))
    ),
    Case(
        "leaky EIRNN forward and backward, 128 units",
        "loop composing the weight at every step",
        recurrent_step(
            called(column_ei, 128, **LEAK),
            lambda: (column_ei(128, **LEAK), step_by_step),
        ),
        rounds=21,
    ),
]
MEMORY_CASES = [
    MemoryCase(
        f"{name}, 512 units, 784 steps", "nn.RNN", ours, functools.partial(plain, 512)
    )
    for name, ours in (
        ("EIRNN", functools.partial(column_ei, 512)),
        ("DANNRNN", functools.partial(dann, 512)),
        ("leaky EIRNN", functools.partial(column_ei, 512, **LEAK)),
    )
]
