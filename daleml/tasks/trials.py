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
    """A named part of every trial, from ``start_ms`` up to but not including ``end_ms``.

    Attributes:
        name: What it is called.
        start_ms: When it begins, from the start of the trial.
        end_ms: When it has ended.

    Example:
        >>> from daleml.tasks import PerceptualDecision
        >>> PerceptualDecision().periods[1]
        Period(name='stimulus', start_ms=0.0, end_ms=700.0)
    """

    name: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials, time first, as ``torch.nn.RNN`` takes it.

    Args:
        inputs: What the network receives.
        targets: What it should answer: a class at each step, or values.
        mask: The steps that the loss counts. What ``targets`` says elsewhere means nothing.
        dt_ms: Duration of a step.
        input_names: A name for each input.
        output_names: A name for each output: of the classes, if the targets are classes.
        periods: Parts that all trials share, in order; empty if they differ from trial to trial.
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
        # Classes are one number for each step, and values one for each output too.
        of_targets: tuple[int, ...] = steps
        if self.targets.is_floating_point():
            of_targets = (*steps, len(self.output_names))
        expected_shapes = {
            "mask": (self.mask, steps),
            "targets": (self.targets, of_targets),
        }
        for name, values in self.conditions.items():
            expected_shapes[f"conditions[{name!r}]"] = (values, steps[1:])
        for name, (tensor, shape) in expected_shapes.items():
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
        conditions = {}
        for name, values in self.conditions.items():
            conditions[name] = values.to(device)
        return dataclasses.replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            mask=self.mask.to(device),
            conditions=conditions,
        )

    def frame(self) -> DataFrame:
        """Return the conditions as one tidy table, to group scores by.

        Returns:
            One row per trial: ``trial``, its index, then a column per condition.

        Example:
            >>> from daleml.tasks import PerceptualDecision
            >>> list(PerceptualDecision().sample(5).frame())
            ['trial', 'coherence', 'choice']
        """
        # Imported here, since it takes half a second.
        import pandas as pd

        columns: dict[str, Any] = {"trial": range(len(self))}
        for name, values in self.conditions.items():
            # The table owns its numbers, so that nothing done to it changes the trials.
            columns[name] = values.cpu().numpy().copy()
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return what the trials are, as JSON can hold it.

        Returns:
            ``n_trials``, ``n_steps``, ``dt_ms``, ``duration_ms``, ``input_names``,
            ``output_names``; ``periods``, each as ``[name, start_ms, end_ms]``;
            ``mask_fraction``, the fraction of steps that count; and ``conditions``, the smallest
            and the largest value of each.

        Example:
            >>> from daleml.tasks import AddingProblem
            >>> AddingProblem(length=4).sample(3).to_dict()["mask_fraction"]
            0.25
        """
        n_steps, n_trials, _ = self.inputs.shape
        periods = []
        for name, start, end in self.periods:
            periods.append([name, float(start), float(end)])
        ranges = {}
        for name, values in self.conditions.items():
            ranges[name] = [values.min().item(), values.max().item()]
        return {
            "n_trials": n_trials,
            "n_steps": n_steps,
            "dt_ms": float(self.dt_ms),
            "duration_ms": float(n_steps * self.dt_ms),
            "input_names": list(self.input_names),
            "output_names": list(self.output_names),
            "periods": periods,
            "mask_fraction": float(self.mask.double().mean()),
            "conditions": ranges,
        }
