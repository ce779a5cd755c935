"""Recording of what is active on both sides of a layer's weights in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from daleml import modules
from daleml.learning.oja.activation_chains import Activation
from daleml.learning.oja.uncopied_hooks import UncopiedHook

RecordedRows: TypeAlias = tuple[Tensor, Tensor]
"""What a weight reads and the rates that it drives: one row per example, or per step of one."""
Recorded: TypeAlias = dict[str, RecordedRows]
"""The rows of one forward pass of a layer, by the path of the weight."""


class ActivityRecord:
    """The rows of all forward passes since they were last used, by the name of the weight.

    A pass that raised before its end leaves rows of some layers only, and these are forgotten.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[RecordedRows]] = {}
        # During a pass: how many rows of each weight are of passes that ended; else None.
        self._complete: dict[str, int] | None = None

    def add(self, name: str, rows: RecordedRows) -> None:
        """Add the rows of one layer's pass."""
        self.rows.setdefault(name, []).append(rows)

    def begin_pass(self) -> None:
        """Note that a forward pass of the whole model begins."""
        self._forget_unfinished()
        self._complete = {name: len(rows) for name, rows in self.rows.items()}

    def end_pass(self) -> None:
        """Note that it has ended."""
        self._complete = None

    def take(self) -> dict[str, list[RecordedRows]]:
        """Return the rows of all passes that ended, and forget them."""
        self._forget_unfinished()
        taken, self.rows = self.rows, {}
        return taken

    def forget(self) -> None:
        """Forget all rows."""
        self.rows.clear()
        self._complete = None

    def _forget_unfinished(self) -> None:
        if self._complete is None:
            return
        self.rows = {name: self.rows[name][:n] for name, n in self._complete.items()}
        self._complete = None


def watch(
    module: nn.Module, activation: Activation, report: Callable[[Recorded], None]
) -> RemovableHandle:
    """Report what is active on both sides of a layer's weights, in every pass in training mode.

    Args:
        module: A dense layer, or a circuit.
        activation: What makes rates of a dense layer's output.
        report: Called with the rows of a pass. They are copies: a caller may use its buffers
            again.
    """
    register_layer_hook = None
    if modules.is_recurrent(module):
        register_layer_hook = modules.method(module, "register_layer_hook")
    if register_layer_hook is not None:
        return _watch_protocol(module, register_layer_hook, report)

    @torch.no_grad()
    def observe(
        module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
    ) -> None:
        if not module.training:
            return
        # Torch's own recurrent modules name their arguments `input` and `hx`.
        input = args[0] if args else kwargs["input"]
        hx = args[1] if len(args) > 1 else kwargs.get("hx")
        kind = modules.torch_kind(module)
        if modules.is_dense(module):
            report(_of_dense(module, input, output, activation))
        elif kind is not None and kind.sequences:
            report(_of_sequence(module, input, hx, output))
        else:
            report(_of_cell(input, hx, output))

    return module.register_forward_hook(UncopiedHook(observe), with_kwargs=True)


def _watch_protocol(
    module: nn.Module,
    register_layer_hook: Callable[..., Any],
    report: Callable[[Recorded], None],
) -> RemovableHandle:
    """Watch a circuit of the protocol, which says itself what its layers do."""
    # The state of a circuit may be a voltage; its rates are what the rule takes.
    rates_of = modules.required(module, "", "rates", "gives the rates of a state")

    @torch.no_grad()
    def observe(
        suffix: str, rows: Tensor, begun: Tensor, rates: Tensor, sizes: tuple[int, ...]
    ) -> None:
        if module.training:
            report(_of_steps(suffix, rows, rates_of(begun), rates, sizes))

    return cast("RemovableHandle", register_layer_hook(UncopiedHook(observe)))


def _of_dense(
    module: nn.Module, pre: Tensor, output: Tensor, activation: Activation
) -> Recorded:
    # A clone, since the activation may work in place.
    post = activation(output.detach().clone())
    if not isinstance(post, Tensor) or post.shape != output.shape:
        got = tuple(post.shape) if isinstance(post, Tensor) else type(post).__name__
        raise ValueError(
            f"`activation` must keep the shape {tuple(output.shape)} of an output; got"
            f" {got}."
        )
    units = modules.synaptic_weights(module)[0].units
    if units is not None:
        pre = pre[..., units]
    return {"dense": (_rows(pre).clone(), _rows(post))}


def _of_cell(input: Tensor, hx: Tensor | None, state: Tensor) -> Recorded:
    before = torch.zeros_like(state) if hx is None else hx
    batch = 1 if state.ndim == 1 else len(state)
    return _of_steps("", _rows(input), _rows(before), _rows(state), [batch])


def _of_sequence(
    module: Any, input: Tensor | PackedSequence, hx: Tensor | None, output: Any
) -> Recorded:
    """Return the rows of an ``nn.RNN`` of one layer, step after step whatever the layout."""
    rates = output[0]
    if isinstance(input, PackedSequence):
        sizes, rows, rates = input.batch_sizes.tolist(), input.data, rates.data
        # Packed rows are sorted by length, and initial states are not.
        if hx is not None and input.sorted_indices is not None:
            hx = hx.index_select(1, input.sorted_indices)
    else:
        if input.ndim == 3 and module.batch_first:
            input, rates = input.transpose(0, 1), rates.transpose(0, 1)
        batch = 1 if input.ndim == 2 else input.shape[1]
        sizes = [batch] * len(input)
        rows, rates = _rows(input), _rows(rates)
    if hx is None:
        begun = rates.new_zeros(sizes[0], rates.shape[1])
    else:
        begun = _rows(hx)
    return _of_steps("_l0", rows, begun, rates, sizes)


def _of_steps(
    suffix: str, rows: Tensor, begun: Tensor, rates: Tensor, sizes: Sequence[int]
) -> Recorded:
    """Return the rows of one layer that ran over steps.

    Args:
        suffix: Of the layer's weights.
        rows: What the layer read, step after step.
        begun: The rates before the first step.
        rates: The rates after each step.
        sizes: Number of sequences that take part in each step; it never grows.
    """
    rates = rates.detach().clone()
    n_last = sizes[-1]
    before = [begun.detach()]
    if n_last == sizes[0]:
        before.append(rates[: len(rates) - n_last])
    else:
        # Of the rates after a step, those are read that the next step goes on with.
        steps = torch.split(rates, list(sizes))
        for step, n_next in zip(steps, sizes[1:], strict=False):
            before.append(step[:n_next])
    return {
        f"ih{suffix}": (rows.detach().clone(), rates),
        f"hh{suffix}": (torch.cat(before), rates),
    }


def _rows(activity: Tensor) -> Tensor:
    return activity.detach().reshape(-1, activity.shape[-1])
