"""Run a model on an example, to find which units each of its weights reads and what lies between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from daleml.convert.synapses import (
    CELLS,
    CONVOLUTIONS,
    NORMS,
    RECURRENT,
    TABLES,
    TRANSPOSED,
    WEIGHTED,
    is_ours,
    output_signs,
    unit_dim,
)
from daleml.populations import Populations

Example = tuple[Any, ...]

_ADDITIONS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
_NEGATIONS = {"sub", "sub_", "__sub__", "__rsub__", "rsub", "neg", "__neg__", "negative", "subtract"}
_SCALINGS = {"mul", "mul_", "__mul__", "__rmul__", "multiply", "div", "div_", "__truediv__", "true_divide"}
_PRODUCTS = {"matmul", "__matmul__", "bmm", "einsum", "baddbmm", "scaled_dot_product_attention"}
_WEIGHTED_FUNCTIONS = {"linear", "conv1d", "conv2d", "conv3d", "bilinear", "multi_head_attention_forward"}


@dataclass
class Trace:
    """What running the example showed.

    Attributes:
        signs: The signs of the units that each weighted module reads: +1, -1, or 0 where an entry mixes both; NaN where
            no unit that has a sign reaches it. Modules that never ran are not in it.
        order: Names of the weighted modules in the order in which they first ran.
        inconsistent: Names of modules that read units of other signs at another call.
        signed_rates: Names of modules that read negative values.
        findings: What was done to activations outside modules: sentences, in order, each once.
    """

    signs: dict[str, Tensor] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    inconsistent: set[str] = field(default_factory=set)
    signed_rates: set[str] = field(default_factory=set)
    findings: dict[str, None] = field(default_factory=dict)


def trace(model: nn.Module, example: Example, inhibitory: float, inputs: float | None) -> Trace:
    """Send the signs of units through the model.

    Three runs: all units silent, the excitatory ones active, the inhibitory ones active. Weighted modules answer with
    the marks of their own output units, normalisations pass marks on; what differs from silence at a module's input is
    what reaches it. A fourth run, of the model as it is, looks for negative rates.
    """
    result = Trace()
    names = {module: name for name, module in model.named_modules()}
    with undisturbed(model):
        _look_for_negative_rates(model, example, names, result)
        model.eval()
        silent, excited, inhibited = (
            _marks(model, example, names, inhibitory, inputs, active, result) for active in (0, 1, -1)
        )
    for name, calls in silent.items():
        found = []
        for quiet, exc, inh in zip(calls, excited[name], inhibited[name], strict=True):
            reached_e, reached_i = (quiet != exc).any(0), (quiet != inh).any(0)
            unit_signs = torch.where(reached_e, 1.0, torch.where(reached_i, -1.0, torch.nan))
            found.append(torch.where(reached_e & reached_i, 0.0, unit_signs))
        result.signs[name] = found[0]
        result.order.append(name)
        if any(not torch.equal(found[0].nan_to_num(9), other.nan_to_num(9)) for other in found[1:]):
            result.inconsistent.add(name)
    return result


def guess_example(model: nn.Module) -> Example | None:
    """Return an input that the model takes, guessed from its first weight; None if none of the guesses works."""
    first = next((module for module in model.modules() if isinstance(module, (*WEIGHTED, *TABLES))), None)
    like = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(like)

    guesses: list[Tensor] = []
    if isinstance(first, TABLES):
        guesses = [torch.randint(first.num_embeddings, (16, 20), generator=generator).to(like.device)]
    elif isinstance(first, (*CONVOLUTIONS, *TRANSPOSED)):
        n = len(first.kernel_size)
        guesses = [
            draw(64, first.in_channels, *(side,) * n) for side in ((32, 64, 128, 28, 224) if n < 3 else (16, 32))
        ]
    elif isinstance(first, RECURRENT):
        guesses = [draw(20, 20, first.input_size)]
    elif isinstance(first, CELLS):
        guesses = [draw(64, first.input_size)]
    elif isinstance(first, nn.Linear):
        guesses = [draw(64, first.in_features), draw(16, 20, first.in_features)]
    for guess in guesses:
        with contextlib.suppress(Exception), undisturbed(model):  # a guess that fails is only a wrong guess
            model(guess)
            return (guess,)
    return None


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back buffers, modes and random state after the model was run; without gradients meanwhile."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])


@contextlib.contextmanager
def hooked(model: nn.Module, before: Callable[..., Any] | None, after: Callable[..., Any] | None) -> Iterator[None]:
    """Attach a pair of hooks to every module, and take them off again."""
    handles = []
    for module in model.modules():
        if before is not None:
            handles.append(module.register_forward_pre_hook(before))
        if after is not None:
            handles.append(module.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _look_for_negative_rates(model: nn.Module, example: Example, names: Mapping[nn.Module, str], result: Trace) -> None:
    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        rates = args[0] if args else None
        if isinstance(module, WEIGHTED) and isinstance(rates, Tensor) and (rates < 0).any():
            result.signed_rates.add(names[module])

    with hooked(model, before, None):
        model(*example)


def _marks(
    model: nn.Module,
    example: Example,
    names: Mapping[nn.Module, str],
    inhibitory: float,
    inputs: float | None,
    active: int,
    result: Trace,
) -> dict[str, list[Tensor]]:
    """Run with the units of one sign active (``active`` 0: none), and return what each weighted module reads."""
    read: dict[str, list[Tensor]] = {}
    inside: list[nn.Module] = []

    def mark(like: Tensor, unit_signs: Tensor, dim: int) -> Tensor:
        shape = [1] * like.ndim
        shape[dim] = -1
        marks = (unit_signs == active).to(like) if active else torch.zeros_like(unit_signs).to(like)
        return marks.view(shape).expand_as(like).contiguous()

    def input_signs(n: int) -> Tensor:
        return torch.full((n,), torch.nan) if inputs is None else Populations.split(n, inputs).signs()

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        inside.append(module)
        if isinstance(module, WEIGHTED) and args and isinstance(args[0], Tensor):
            units = args[0].detach().movedim(unit_dim(module, args[0]), -1)
            read.setdefault(names[module], []).append(units.reshape(-1, units.shape[-1]).clone())

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        inside.pop()
        if isinstance(module, (*RECURRENT, *CELLS)):
            unit_signs = output_signs(module, inhibitory)
            if isinstance(output, Tensor):
                return mark(output, unit_signs, -1)
            if isinstance(module, nn.LSTMCell):
                return tuple(mark(part, unit_signs, -1) for part in output)
            if not isinstance(output[0], Tensor):  # a packed sequence, whose units are not looked for
                return None
            return mark(output[0], unit_signs, -1), output[1]
        if isinstance(module, WEIGHTED):
            return mark(output, output_signs(module, inhibitory), unit_dim(module, output))
        if isinstance(module, TABLES):
            return mark(output, input_signs(output.shape[-1]), -1)
        if isinstance(module, nn.MultiheadAttention):
            return (torch.zeros_like(output[0]), *output[1:])
        return args[0] if isinstance(module, NORMS) and args else None

    marked = []
    for given in example:
        if isinstance(given, Tensor) and given.is_floating_point():
            dim = _input_dim(model, given)
            marked.append(mark(given, input_signs(given.shape[dim]), dim))
        else:
            marked.append(given)
    with hooked(model, before, after), _Spy(inside, names, result):
        model(*marked)
    return read


def _input_dim(model: nn.Module, given: Tensor) -> int:
    """Guess along which dimension the units of the model's input lie: channels of images, features of all else."""
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            convolution = isinstance(module, (*CONVOLUTIONS, *TRANSPOSED))
            dim = unit_dim(module, given)
            return dim if convolution and dim >= 0 else given.ndim - 1
    return given.ndim - 1


class _Spy(TorchFunctionMode):
    """Notice what is done to activations outside modules that are known."""

    def __init__(self, inside: list[nn.Module], names: Mapping[nn.Module, str], result: Trace) -> None:
        super().__init__()
        self.inside, self.names, self.result = inside, names, result

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        module = self.inside[-1] if self.inside else None  # none while the example is being marked
        known = isinstance(module, (*WEIGHTED, *NORMS, *TABLES)) or is_ours(module)
        if not known:
            tensors = [arg for arg in args if isinstance(arg, Tensor)]
            negative = any(isinstance(arg, (int, float)) and arg < 0 for arg in args)
            self._note(name, tensors, self._where(module), negated=name in _SCALINGS and negative)
        return func(*args, **(kwargs or {}))

    def _where(self, module: nn.Module | None) -> str:
        name = self.names.get(module, "") if module is not None else ""
        return name or "the model itself"

    def _note(self, name: str, tensors: list[Tensor], where: str, *, negated: bool) -> None:
        activations = [tensor for tensor in tensors if not isinstance(tensor, nn.Parameter) and tensor.ndim > 1]
        if name in _ADDITIONS and len(activations) == 2:
            said = "activities are added (a residual connection): an inhibitory unit carried on, not a synapse"
        elif activations and (
            negated or (name in _NEGATIONS and not any(isinstance(t, nn.Parameter) for t in tensors))
        ):
            said = "activities are subtracted or negated, which turns excitation into inhibition: not lawful"
        elif name in _PRODUCTS and len(activations) >= 2:
            said = "activities multiply activities (attention), which have no fixed sign: not lawful"
        elif name in _WEIGHTED_FUNCTIONS or (name in _PRODUCTS and len(tensors) > len(activations)):
            said = "a parameter is used as a weight outside the modules that are known: not lawful"
        else:
            return
        self.result.findings[f"{where}: {said}"] = None
