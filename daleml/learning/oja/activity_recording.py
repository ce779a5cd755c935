"""What was active on both sides of the weights of a layer in a forward pass, one row an example or step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from daleml import modules
from daleml.learning.oja.uncopied_hooks import Hook

Activation: TypeAlias = Callable[[Tensor], Tensor]
Seen: TypeAlias = dict[str, tuple[Tensor, Tensor]]
"""By path, what was active before and after it."""

# -- what makes rates of a layer's output
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Modules one after another, as one function.

    Attributes:
        modules: The modules.
        unclear: Name of the activation that ends them where nothing is known of its rates;
            empty if all are known.
    """

    modules: tuple[nn.Module, ...] = ()
    unclear: str = ""

    def __call__(self, output: Tensor) -> Tensor:
        """Apply them in turn."""
        for module in self.modules:
            output = module.forward(
                output
            )  # not a call, which would run the user's hooks twice
        return output


def following(model: nn.Module) -> dict[nn.Module, Chain]:
    """Find what makes rates of each dense layer's output.

    The activation modules right after it in a Sequential.
    """
    found: dict[nn.Module, Chain] = {}
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            parts = list(_in_order(module))
            for i, part in enumerate(parts):
                if modules.is_dense(part):
                    found.setdefault(part, _chain(parts[i + 1 :]))
    return found


def _in_order(sequential: nn.Sequential) -> Iterator[nn.Module]:
    """Yield what runs, with repeats, which ``children`` leaves out, and what stands in sequences within."""
    for part in sequential._modules.values():
        if isinstance(part, nn.Sequential):
            yield from _in_order(part)
        elif part is not None:
            yield part


def _chain(following: Sequence[nn.Module]) -> Chain:
    applied: list[nn.Module] = []
    for module in following:
        kind = modules.torch_kind(module)
        if kind is not None and kind.rates and modules.runs_as_torch(module):
            applied.append(module)
        elif (kind is not None and kind.activation) or _may_be_activation(module):
            return Chain(tuple(applied), type(module).__name__)
        else:
            break
    return Chain(tuple(applied))


def _may_be_activation(module: nn.Module) -> bool:
    """Whether a module is nobody's layer, and so may be an activation of the user's."""
    known = modules.torch_kind(module) is not None or modules.speaks(module)
    return not known and not module._parameters and not module._modules


# -- what was active
# ---------------------------------------------------------------------------------------------------


def watch(
    module: nn.Module, activation: Activation, report: Callable[[Seen], None]
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

        return cast("RemovableHandle", register_layer_hook(Hook(look)))

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

    return module.register_forward_hook(Hook(observe), with_kwargs=True)


def _dense(
    module: nn.Module, pre: Tensor, output: Tensor, activation: Activation
) -> Seen:
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


def _cell(input: Tensor, hx: Tensor | None, state: Tensor) -> Seen:
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
) -> Seen:
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
) -> Seen:
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
