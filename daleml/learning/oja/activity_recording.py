"""What was active on both sides of the weights of a layer in a forward pass, one row an example or step."""

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

Recorded: TypeAlias = dict[str, tuple[Tensor, Tensor]]
"""By path, what was active before and after it."""


def watch(
    module: nn.Module, activation: Activation, report: Callable[[Recorded], None]
) -> RemovableHandle:
    """Report what is active on both sides of a layer's weights, in every forward pass in training mode.

    The tensors reported are copies: a caller may use its buffers again.
    """
    register_layer_hook = (
        modules.method(module, "register_layer_hook")
        if modules.is_recurrent(module)
        else None
    )
    if register_layer_hook is not None:
        rates_of = modules.required(module, "", "rates", "gives the rates of a state")

        @torch.no_grad()
        def look(
            suffix: str,
            rows: Tensor,
            begun: Tensor,
            rates: Tensor,
            sizes: tuple[int, ...],
        ) -> None:
            if module.training:
                report(_swept(suffix, rows, rates_of(begun), rates, sizes))

        return cast("RemovableHandle", register_layer_hook(UncopiedHook(look)))

    kind = modules.torch_kind(module)
    sequences = kind is not None and kind.sequences

    @torch.no_grad()
    def observe(
        module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
    ) -> None:
        if module.training:
            input = args[0] if args else kwargs["input"]
            hx = args[1] if len(args) > 1 else kwargs.get("hx")
            if modules.is_dense(module):
                report(_dense(module, input, output, activation))
            else:
                report(
                    _sequence(module, input, hx, output)
                    if sequences
                    else _cell(input, hx, output)
                )

    return module.register_forward_hook(UncopiedHook(observe), with_kwargs=True)


def _dense(
    module: nn.Module, pre: Tensor, output: Tensor, activation: Activation
) -> Recorded:
    post = activation(
        output.detach().clone()
    )  # a clone, since the activation may work in place
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


def _cell(input: Tensor, hx: Tensor | None, state: Tensor) -> Recorded:
    begun = torch.zeros_like(state) if hx is None else hx
    return _swept(
        "",
        _rows(input),
        _rows(begun),
        _rows(state),
        [1 if state.ndim == 1 else len(state)],
    )


def _sequence(
    module: Any, input: Tensor | PackedSequence, hx: Tensor | None, output: Any
) -> Recorded:
    """Return the activities of an ``nn.RNN`` of one layer, its rows step after step whatever the layout."""
    rates = output[0]
    if isinstance(input, PackedSequence):
        sizes, rows, rates = input.batch_sizes.tolist(), input.data, rates.data
        if hx is not None and input.sorted_indices is not None:
            hx = hx.index_select(1, input.sorted_indices)
    else:
        if input.ndim == 3 and module.batch_first:
            input, rates = input.transpose(0, 1), rates.transpose(0, 1)
        sizes = [1 if input.ndim == 2 else input.shape[1]] * len(input)
        rows, rates = _rows(input), _rows(rates)
    begun = rates.new_zeros(sizes[0], rates.shape[1]) if hx is None else _rows(hx)
    return _swept("_l0", rows, begun, rates, sizes)


def _swept(
    suffix: str, rows: Tensor, begun: Tensor, rates: Tensor, sizes: Sequence[int]
) -> Recorded:
    """Return the activities of one layer that ran over steps.

    Before a step are the rates of the one before it.
    """
    rates = rates.detach().clone()
    n_last = sizes[-1]
    if n_last == sizes[0]:
        before = [begun.detach(), rates[: len(rates) - n_last]]
    else:
        steps = torch.split(rates, list(sizes))
        before = [
            begun.detach(),
            *(step[:n] for step, n in zip(steps, sizes[1:], strict=False)),
        ]
    return {
        f"ih{suffix}": (rows.detach().clone(), rates),
        f"hh{suffix}": (torch.cat(before), rates),
    }


def _rows(activity: Tensor) -> Tensor:
    return activity.detach().reshape(-1, activity.shape[-1])
