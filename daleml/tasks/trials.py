"""Trials: what a task gives a network, what it asks for, and when it counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from daleml import require

if TYPE_CHECKING:
    from pandas import DataFrame


class Period(NamedTuple):
    """A named part of every trial, from ``start_ms`` up to but not including ``end_ms``."""

    name: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials, time first, as ``torch.nn.RNN`` takes it.

    Args:
        inputs: What the network receives.
        targets: What it should answer: a class a step, or values.
        mask: The steps the loss counts. What ``targets`` says elsewhere means nothing.
        dt_ms: Duration of a step.
        input_names: A name an input.
        output_names: A name an output: of the classes, if the targets are classes.
        periods: Parts all trials share, in order; empty if they differ from trial to trial.
        conditions: What was drawn for each trial, by name.

    Shape:
        - ``inputs``: (time, trials, n_inputs), floating point; from tasks, torch's default dtype.
        - ``targets``: (time, trials), int64, or (time, trials, n_outputs), floating point.
        - ``mask``: (time, trials), bool.
        - each of ``conditions``: (trials,).

    Raises:
        ValueError: If shapes, or the numbers of names, do not fit together.

    Example:
        >>> from daleml.tasks import DelayedMatchToSample
        >>> trials = DelayedMatchToSample().sample(5)
        >>> print(trials)
        5 trials of 8 steps, 800 ms: 3 inputs, 3 outputs
        >>> trials.inputs.shape, trials.targets.shape
        (torch.Size([8, 5, 3]), torch.Size([8, 5]))
    """

    inputs: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)
    dt_ms: float
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    periods: tuple[Period, ...] = ()
    conditions: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        require.positive("dt_ms", self.dt_ms)
        if self.inputs.ndim != 3 or self.inputs.shape[2] != len(self.input_names):
            expected = f"(time, trials, {len(self.input_names)})"
            raise ValueError(
                f"`inputs` must have shape {expected}; got {tuple(self.inputs.shape)}."
            )
        steps = tuple(self.inputs.shape[:2])
        expected_shapes = {"mask": (self.mask, steps), "targets": (self.targets, steps)}
        if self.targets.is_floating_point():
            expected_shapes["targets"] = (
                self.targets,
                (*steps, len(self.output_names)),
            )
        conditions = {
            f"conditions[{name!r}]": (values, steps[1:])
            for name, values in self.conditions.items()
        }
        for name, (tensor, shape) in (expected_shapes | conditions).items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape}; got {tuple(tensor.shape)}."
                )
        if self.mask.dtype != torch.bool:
            raise ValueError(f"`mask` must be boolean; got {self.mask.dtype}.")

    def __len__(self) -> int:
        return self.inputs.shape[1]

    def __str__(self) -> str:
        n_steps, n_trials, n_inputs = self.inputs.shape
        size = f"{n_trials} trials of {n_steps} steps, {n_steps * self.dt_ms:g} ms"
        return f"{size}: {n_inputs} inputs, {len(self.output_names)} outputs"

    def to(self, device: torch.device | str) -> Trials:
        """Return the trials with their tensors on ``device``."""
        moved: dict[str, Any] = {
            name: getattr(self, name).to(device)
            for name in ("inputs", "targets", "mask")
        }
        moved["conditions"] = {
            name: values.to(device) for name, values in self.conditions.items()
        }
        return dataclasses.replace(self, **moved)

    def frame(self) -> DataFrame:
        """The conditions as one tidy table, to group scores by.

        Returns:
            One row a trial: ``trial``, its index, then a column a condition.

        Example:
            >>> from daleml.tasks import PerceptualDecision
            >>> list(PerceptualDecision().sample(5).frame())
            ['trial', 'coherence', 'choice']
        """
        import pandas as pd

        columns = {
            name: values.cpu().numpy().copy()
            for name, values in self.conditions.items()
        }
        return pd.DataFrame({"trial": range(len(self)), **columns})

    def to_dict(self) -> dict[str, Any]:
        """What the trials are, as JSON can hold it.

        Returns:
            ``n_trials``, ``n_steps``, ``dt_ms``, ``duration_ms``, ``input_names``,
            ``output_names``; ``periods``, each as ``[name, start_ms, end_ms]``;
            ``mask_fraction``, the share of steps that count; and ``conditions``, the smallest
            and the largest value of each.

        Example:
            >>> from daleml.tasks import AddingProblem
            >>> AddingProblem(length=4).sample(3).to_dict()["mask_fraction"]
            0.25
        """
        n_steps, n_trials, _ = self.inputs.shape
        return {
            "n_trials": n_trials,
            "n_steps": n_steps,
            "dt_ms": float(self.dt_ms),
            "duration_ms": float(n_steps * self.dt_ms),
            "input_names": list(self.input_names),
            "output_names": list(self.output_names),
            "periods": [
                [name, float(start), float(end)] for name, start, end in self.periods
            ],
            "mask_fraction": float(self.mask.double().mean()),
            "conditions": {
                name: [v.min().item(), v.max().item()]
                for name, v in self.conditions.items()
            },
        }
