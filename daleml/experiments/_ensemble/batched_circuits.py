"""Recurrent layers of several models at once, by products that are batched by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from daleml.experiments._ensemble.batched_layers import Activity, BatchedForm
from daleml.experiments._ensemble.fused_members import Recurrence, fused_members
from daleml.experiments._ensemble.likeness import circuits_differ
from daleml.layers import DANNRNN, EIRNN
from daleml.layers._recurrent import noise
from daleml.layers._recurrent.kept_leak import Step
from daleml.layers._recurrent.layer_sweep import is_lowered


class BatchedCircuit(BatchedForm):
    """:class:`~daleml.layers.EIRNN` and :class:`~daleml.layers.DANNRNN` over even sequences.

    Circuits may differ in their numbers: time constants, the time step, and noise. Those with
    dynamics given as an object, noisy rates, shunting inhibition, time constants that learn or
    a nonlinearity of the user's run as themselves.
    """

    def accepts(self, given: Activity) -> bool:
        """Whether all that acts now, and the input, is what the batched steps know."""
        x, first = given.value, self.layers.first
        if not isinstance(x, Tensor) or x.ndim != (3 if given.shared else 4):
            return False
        stored = next(iter(self.layers.parameters.values()))
        fits = x.shape[-1] == first.input_size and x.dtype == stored.dtype
        if not fits or not x.shape[-2] * x.shape[-3] or is_lowered(x):
            return False
        return all(map(_is_plain, self.layers.modules)) and not circuits_differ(
            self.layers.modules
        )

    def __call__(self, given: Activity) -> Activity:
        """Run all layers of the circuits, each over all steps before the next."""
        x, first = given.value, self.layers.first
        if first.batch_first:
            x = x.transpose(-3, -2)
        n_steps, n_sequences = x.shape[-3:-1]
        rows = x.reshape(*x.shape[:-3], n_steps * n_sequences, x.shape[-1])
        rows = self._noisy(rows, given.shared)
        finals = []
        for i, suffix in enumerate(first._suffixes):
            if i and first.dropout and first.training:
                rows = self.layers.streams.dropped(rows, first.dropout)
            rates, last = self._advance(suffix, rows, n_steps)
            finals.append(last)
            rows = rates.transpose(0, 1)
        output = rows.view(len(rows), n_steps, n_sequences, -1)
        if first.batch_first:
            output = output.transpose(1, 2)
        return Activity((output, torch.stack(finals, dim=1)), shared=False)

    def _advance(
        self, suffix: str, rows: Tensor, n_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Run one layer over all steps: rates (rows, circuits, units), and last states."""
        layers, matrices = self.layers, self.layers.first._wiring.matrices
        weight_ih = layers.composed([f"{matrix}_ih{suffix}" for matrix in matrices])
        weight_hh = layers.composed([f"{matrix}_hh{suffix}" for matrix in matrices])
        bias = None
        if layers.first.bias:
            bias = layers.acting(f"bias_ih{suffix}") + layers.acting(f"bias_hh{suffix}")
        steps = [module._step(rows) for module in layers.modules]
        keep: Tensor | float | None = None
        if steps[0] is not None:
            # Folded into the weights and the bias, the leak costs no product at any step.
            leak, keep = _of_all([step.leak for step in steps], rows), None
            weight_ih, weight_hh = (
                weight_ih * _for_rows(leak),
                weight_hh * _for_rows(leak),
            )
            if bias is not None:
                bias = bias * (leak if isinstance(leak, float) else leak[:, 0])
            keep = _of_all([step.keep for step in steps], rows)
        how = Recurrence(layers.first.nonlinearity, keep, n_steps)
        state = self._starting(suffix, rows, n_steps)
        drawn = self._noise(rows, steps)
        return fused_members(rows, weight_ih, bias, weight_hh, state, drawn, how)

    def _starting(self, suffix: str, rows: Tensor, n_steps: int) -> Tensor:
        """Return where sequences begin: the trained initial states, or zeros."""
        n_sequences = rows.shape[-2] // n_steps
        size = self.layers.first.hidden_size
        learned = self.layers.acting_or_none(f"initial_state{suffix}")
        if learned is None:
            return rows.new_zeros(len(self.layers), n_sequences, size)
        return learned[:, None].expand(-1, n_sequences, -1)

    def _noisy(self, rows: Tensor, shared: bool) -> Tensor:
        """Return what each first layer reads, with its noise."""
        modules = self.layers.modules
        if not any(one.input_noise and one._is_noisy for one in modules):
            return rows
        found = []
        for k, module in enumerate(modules):
            mine = rows if shared else rows[k]
            if module.input_noise and module._is_noisy:
                step = module._step(rows) if module._leaks else None
                generator = self._generator(k)
                mine = mine + noise.of_input(mine, module.input_noise, step, generator)
            found.append(mine)
        return torch.stack(found)

    def _noise(self, rows: Tensor, steps: list[Step | None]) -> Tensor | None:
        """Draw the noise of the states in every step, (rows, circuits, units)."""
        modules = self.layers.modules
        if not any(one.noise and one._is_noisy for one in modules):
            return None
        size, like = self.layers.first.hidden_size, rows.select(-1, 0)
        like = like if rows.ndim == 2 else like[0]
        drawn = rows.new_zeros(len(like), len(modules), size)
        for k, (module, step) in enumerate(zip(modules, steps, strict=True)):
            if module.noise and module._is_noisy:
                generator = self._generator(k)
                drawn[:, k] = noise.of_state(like, size, module.noise, step, generator)
        return drawn

    def _generator(self, k: int) -> torch.Generator:
        own = self.layers.modules[k].generator
        return self.layers.streams.generators[k] if own is None else own


def _is_plain(circuit: Any) -> bool:
    """Whether a circuit is one that the batched steps know."""
    if circuit._has_dynamics or circuit._perturbations or circuit._layer_hooks:
        return False
    if circuit._wiring.shunting or not isinstance(circuit.nonlinearity, str):
        return False
    if circuit.rate_noise and circuit._is_noisy:
        return False
    # A leak that learns, or has a graph, asks for a derivative.
    exact = circuit._exact_leak()
    return (
        not (isinstance(exact, Tensor) and exact.requires_grad)
        and not circuit.train_tau
    )


def _of_all(each: list[Tensor | float], like: Tensor) -> Tensor | float:
    """Return numbers of circuits as one, or as (circuits, 1, units or 1) where they differ."""
    numbers = [one for one in each if not isinstance(one, Tensor)]
    if len(numbers) == len(each) and len(set(numbers)) == 1:
        return numbers[0]
    tensors = [torch.as_tensor(one).to(like).reshape(1, -1) for one in each]
    width = max(one.shape[1] for one in tensors)
    return torch.stack([one.expand(1, width) for one in tensors])


def _for_rows(leak: Tensor | float) -> Tensor | float:
    """Return what multiplies the rows of weights."""
    return leak.mT if isinstance(leak, Tensor) else leak


CIRCUITS: dict[type[nn.Module], type[BatchedForm]] = {
    EIRNN: BatchedCircuit,
    DANNRNN: BatchedCircuit,
}
"""The form of each recurrent class."""
