"""Recurrent layers of several models at once, by products that are batched by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml.experiments._ensemble.batched_layers import Activity, BatchedForm
from daleml.experiments._ensemble.fused_members import Recurrence, fused_members
from daleml.experiments._ensemble.likeness import circuits_differ
from daleml.layers import DANNRNN, EIRNN
from daleml.layers._recurrent import batched_steps, noise
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
        return all(
            map(batched_steps.is_plain, self.layers.modules)
        ) and not circuits_differ(self.layers.modules)

    def __call__(self, given: Activity) -> Activity:
        """Run all layers of the circuits, each over all steps before the next."""
        x, first = given.value, self.layers.first
        if first.batch_first:
            x = x.transpose(-3, -2)
        x = self._noisy(x, given.shared)
        finals = []
        for i, suffix in enumerate(batched_steps.suffixes_of(first)):
            if i and first.dropout and first.training:
                x = self.layers.streams.dropped(x, first.dropout)
            rates, last = self._advance(suffix, x)
            finals.append(last)
            x = rates.transpose(0, 1)
        if first.batch_first:
            x = x.transpose(1, 2)
        return Activity((x, torch.stack(finals, dim=1)), shared=False)

    def _advance(self, suffix: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run one layer over all steps.

        Returns:
            Rates (steps, circuits, batch, units), and last states (circuits, batch, units).
        """
        layers = self.layers
        matrices = batched_steps.matrices_of(layers.first)
        weight_ih, weight_hh = (
            layers.composed([f"{matrix}_{kind}{suffix}" for matrix in matrices])
            for kind in ("ih", "hh")
        )
        read = x
        if layers.first.bias:
            # As the weight of an input that is always 1.
            biases = [layers.acting(f"bias_{kind}{suffix}") for kind in ("ih", "hh")]
            bias = (biases[0] + biases[1])[..., None]
            weight_ih = torch.cat([weight_ih, bias], dim=2)
            read = nn.functional.pad(x, (0, 1), value=1.0)
        steps = [batched_steps.step_of(module, x) for module in layers.modules]
        keep: Tensor | float | None = None
        leaks = [step for step in steps if step is not None]
        if leaks:
            # Folded into the weights and the bias, the leak costs no product at any step.
            leak = _of_rows(_of_all([step.leak for step in leaks], x))
            weight_ih, weight_hh = weight_ih * leak, weight_hh * leak
            keep = _of_all([step.keep for step in leaks], x)
        how = Recurrence(layers.first.nonlinearity, keep)
        state, noise = self._starting(suffix, x), self._noise(x, steps)
        return fused_members(read, weight_ih, weight_hh, state, noise, how)

    def _starting(self, suffix: str, x: Tensor) -> Tensor:
        """Return where sequences begin: the trained initial states, or zeros."""
        size = self.layers.first.hidden_size
        learned = self.layers.acting_or_none(f"initial_state{suffix}")
        if learned is None:
            return x.new_zeros(len(self.layers), x.shape[-2], size)
        return learned[:, None].expand(-1, x.shape[-2], -1)

    def _noisy(self, x: Tensor, shared: bool) -> Tensor:
        """Return what each first layer reads, with its noise."""
        modules = self.layers.modules
        if not any(map(batched_steps.has_input_noise, modules)):
            return x
        found = []
        for k, module in enumerate(modules):
            mine = x if shared else x[k]
            if batched_steps.has_input_noise(module):
                rows, generator = mine.flatten(0, 1), self._generator(k)
                noisy = batched_steps.with_input_noise(module, rows, x, generator)
                mine = noisy.view(mine.shape)
            found.append(mine)
        return torch.stack(found)

    def _noise(self, x: Tensor, steps: list[Step | None]) -> Tensor | None:
        """Draw the noise of the states in every step, (steps, circuits, batch, units)."""
        modules = self.layers.modules
        if not any(map(batched_steps.has_state_noise, modules)):
            return None
        size, like = self.layers.first.hidden_size, x.select(-1, 0)
        # Of one circuit: how many rows it has, and of which kind.
        like = like if x.ndim == 3 else like[0]
        drawn = x.new_zeros(len(like), len(modules), like.shape[1], size)
        for k, (module, step) in enumerate(zip(modules, steps, strict=True)):
            if batched_steps.has_state_noise(module):
                rows, sigma = like.flatten(), module.noise
                mine = noise.of_state(rows, size, sigma, step, self._generator(k))
                drawn[:, k] = mine.view(*like.shape, size)
        return drawn

    def _generator(self, k: int) -> torch.Generator:
        own = self.layers.modules[k].generator
        return self.layers.streams.generators[k] if own is None else own


def _of_all(each: list[Tensor | float], like: Tensor) -> Tensor | float:
    """Return numbers of circuits as one, or as (circuits, 1, units or 1) where they differ."""
    numbers = [one for one in each if not isinstance(one, Tensor)]
    if len(numbers) == len(each) and len(set(numbers)) == 1:
        return numbers[0]
    tensors = [torch.as_tensor(one).to(like).reshape(1, -1) for one in each]
    width = max(one.shape[1] for one in tensors)
    return torch.stack([one.expand(1, width) for one in tensors])


def _of_rows(leak: Tensor | float) -> Tensor | float:
    """Return what multiplies the rows of weights."""
    return leak.mT if isinstance(leak, Tensor) else leak


CIRCUITS: dict[type[nn.Module], type[BatchedForm]] = {
    EIRNN: BatchedCircuit,
    DANNRNN: BatchedCircuit,
}
"""The form of each recurrent class."""
