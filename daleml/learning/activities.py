"""What was active on both sides of the weights of a layer in a forward pass, one row an example or step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from daleml.layers import EILinear
from daleml.learning.hooks import Hook
from daleml.learning.synapses import CELLS, DALE_CIRCUITS, DENSE

Activation: TypeAlias = Callable[[Tensor], Tensor]
Seen: TypeAlias = dict[str, tuple[Tensor, Tensor]]
"""By path, what was active before and after it."""

# -- what makes rates of a layer's output ------------------------------------------------------------------------------

_OF_RATES = frozenset({
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.Mish, nn.PReLU,
    nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softmax, nn.Softmin, nn.Softplus, nn.Softshrink, nn.Softsign,
    nn.Tanh, nn.Tanhshrink, nn.Threshold,
})  # fmt: skip
"""One rate an output, the same every time: not RReLU, which draws; GLU, which halves; LogSoftmax, which is no rate."""


@dataclass(frozen=True)
class Chain:
    """Modules one after another, as one function.

    Attributes:
        modules: The modules.
        unclear: Name of the activation that ends them where nothing is known of its rates; empty if all are known.
    """

    modules: tuple[nn.Module, ...] = ()
    unclear: str = ""

    def __call__(self, output: Tensor) -> Tensor:
        """Apply them in turn."""
        for module in self.modules:
            output = module.forward(output)  # not a call, which would run the user's hooks twice
        return output


def following(model: nn.Module) -> dict[nn.Module, Chain]:
    """Find what makes rates of each dense layer's output: the activation modules right after it in a Sequential."""
    found: dict[nn.Module, Chain] = {}
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            parts = list(module._modules.values())  # with repeats, which `children` leaves out
            for i, part in enumerate(parts):
                if isinstance(part, DENSE):
                    found.setdefault(part, _chain(parts[i + 1 :]))
    return found


def _chain(modules: Sequence[nn.Module | None]) -> Chain:
    applied: list[nn.Module] = []
    for module in modules:
        kind = type(module)
        if kind in _OF_RATES:
            applied.append(cast("nn.Module", module))
        elif kind.__module__ == "torch.nn.modules.activation" and kind is not nn.MultiheadAttention:
            return Chain(tuple(applied), kind.__name__)
        else:
            break
    return Chain(tuple(applied))


# -- what was active ---------------------------------------------------------------------------------------------------


def watch(module: nn.Module, activation: Activation, report: Callable[[Seen], None]) -> RemovableHandle:
    """Report what is active on both sides of a layer's weights, in every forward pass in training mode.

    The tensors reported are copies: a caller may use its buffers again.
    """
    if isinstance(module, DALE_CIRCUITS):

        @torch.no_grad()
        def look(suffix: str, rows: Tensor, begun: Tensor, rates: Tensor, sizes: tuple[int, ...]) -> None:
            if module.training:
                report(_swept(suffix, rows, module.rates(begun), rates, sizes))

        return module.register_layer_hook(Hook(look))

    @torch.no_grad()
    def observe(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        if module.training:
            input = args[0] if args else kwargs["input"]
            hx = args[1] if len(args) > 1 else kwargs.get("hx")
            if isinstance(module, DENSE):
                report(_dense(module, input, output, activation))
            else:
                report(_cell(input, hx, output) if isinstance(module, CELLS) else _sequence(module, input, hx, output))

    return module.register_forward_hook(Hook(observe), with_kwargs=True)


def _dense(module: nn.Module, pre: Tensor, output: Tensor, activation: Activation) -> Seen:
    post = activation(output.detach().clone())  # a clone, since the activation may work in place
    if not isinstance(post, Tensor) or post.shape != output.shape:
        got = tuple(post.shape) if isinstance(post, Tensor) else type(post).__name__
        raise ValueError(f"`activation` must keep the shape {tuple(output.shape)} of an output; got {got}.")
    if isinstance(module, EILinear) and module.excitatory_only:
        pre = pre[..., module.populations.exc]
    return {"dense": (_rows(pre).clone(), _rows(post))}


def _cell(input: Tensor, hx: Tensor | None, state: Tensor) -> Seen:
    begun = torch.zeros_like(state) if hx is None else hx
    return _swept("", _rows(input), _rows(begun), _rows(state), [1 if state.ndim == 1 else len(state)])


def _sequence(module: Any, input: Tensor | PackedSequence, hx: Tensor | None, output: Any) -> Seen:
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


def _swept(suffix: str, rows: Tensor, begun: Tensor, rates: Tensor, sizes: Sequence[int]) -> Seen:
    """Return the activities of one layer that ran over steps; before a step are the rates of the one before it."""
    rates = rates.detach().clone()
    n_last = sizes[-1]
    if n_last == sizes[0]:
        before = [begun.detach(), rates[: len(rates) - n_last]]
    else:
        steps = torch.split(rates, list(sizes))
        before = [begun.detach(), *(step[:n] for step, n in zip(steps, sizes[1:], strict=False))]
    return {f"ih{suffix}": (rows.detach().clone(), rates), f"hh{suffix}": (torch.cat(before), rates)}


def _rows(activity: Tensor) -> Tensor:
    return activity.detach().reshape(-1, activity.shape[-1])
