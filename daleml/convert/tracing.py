"""Tracing: a model is run on an example, to find which units each of its weights reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from daleml import modules
from daleml.convert.bystanders import Bystanders
from daleml.convert.conversion_report import Note
from daleml.convert.example_inputs import Example, hooked, undisturbed
from daleml.convert.unit_signs import Calls, Units, fixed_inputs, is_layer, n_directions

Marks: TypeAlias = Callable[[str], Tensor]
"""From the name of a source of units to its marks: 1 where a unit is marked, else 0."""


@dataclass
class Trace:
    """The result of running the example.

    Attributes:
        units: The signs of all units.
        signs: The signs of the units that each layer reads: +1, -1, or 0 where an entry mixes
            both; NaN where no unit that has a sign reaches it. Layers that never ran are left
            out.
        order: Names of the layers in the order in which they first ran.
        inconsistent: Names of layers that read units of other signs at another call.
        signed_rates: Names of layers that read negative values.
        findings: Notes on what is done to activations outside layers, in order, each once.
    """

    units: Units
    signs: dict[str, Tensor] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    inconsistent: set[str] = field(default_factory=set)
    signed_rates: set[str] = field(default_factory=set)
    findings: dict[Note, None] = field(default_factory=dict)


def trace(
    model: nn.Module, example: Example, inhibitory: float, inputs: float | None
) -> Trace:
    """Send the signs of units through the model.

    No weight runs: each layer answers with the marks of its own output units, and normalisations
    pass marks on. The model runs with all units silent, with the excitatory ones marked, and with
    the inhibitory ones; what differs from silence at a layer's input is what reaches it. Where
    layers have fixed the signs of what they read, the units are numbered first, and marked one
    binary digit after another, to find whose signs those are. One more run, of the model as it is,
    looks for negative rates.

    Args:
        model: The model, which is left as it was.
        example: The arguments to run it on.
        inhibitory: Fraction of a layer's units that inhibit.
        inputs: Fraction of the inputs that inhibit; None if they have no sign.
    """
    result = Trace(Units(inhibitory, inputs))
    units = result.units
    run = _Runner(model, example, result)
    with undisturbed(model):
        run.look_for_negative_rates()
        # In evaluation: in training, dropout would hide marks by chance.
        model.eval()
        silent = run.marked(lambda name: torch.zeros_like(units.signs[name]))
        if any(True for _ in fixed_inputs(model)):
            by_digit = []
            for digit in range(units.total.bit_length()):
                ones, zeros = run.marked_digit(digit, 1), run.marked_digit(digit, 0)
                by_digit.append((ones, zeros))
            units.settle(model, silent, by_digit)
        excited = run.marked(lambda name: units.signs[name] > 0)
        inhibited = run.marked(lambda name: units.signs[name] < 0)
    for name, calls in silent.items():
        found = []
        for quiet, exc, inh in zip(calls, excited[name], inhibited[name], strict=True):
            # What differs from silence at an entry is what reaches it.
            found.append(_signs_reached((quiet != exc).any(0), (quiet != inh).any(0)))
        result.signs[name] = found[0]
        result.order.append(name)
        for other in found[1:]:
            # NaN differs from itself; 9 stands for it, which is no sign.
            if not torch.equal(found[0].nan_to_num(9), other.nan_to_num(9)):
                result.inconsistent.add(name)
    return result


def _signs_reached(excited: Tensor, inhibited: Tensor) -> Tensor:
    """Return the sign of the units that reach an entry: 0 where both do, NaN where none does."""
    unit_signs = torch.full(excited.shape, torch.nan, device=excited.device)
    unit_signs[excited] = 1.0
    unit_signs[inhibited] = -1.0
    unit_signs[excited & inhibited] = 0.0
    return unit_signs


class _Runner:
    """Runs a model on its example, with marks for rates."""

    def __init__(self, model: nn.Module, example: Example, result: Trace) -> None:
        self.model = model
        self.example = example
        self.result = result
        self.units = result.units
        self.names = {module: name for name, module in model.named_modules()}

    def look_for_negative_rates(self) -> None:
        """Run the model as it is, and note which layers read negative rates."""

        def before(module: nn.Module, args: tuple[Any, ...]) -> None:
            rates = args[0] if args else None
            if is_layer(module) and isinstance(rates, Tensor) and (rates < 0).any():
                self.result.signed_rates.add(self.names[module])

        with hooked(self.model, before, None):
            self.model(*self.example)

    def marked_digit(self, digit: int, value: int) -> Calls:
        """Run with those units marked whose number has this value at a binary digit."""
        return self.marked(
            lambda name: (self.units.numbers(name) >> digit & 1) == value
        )

    def marked(self, marks: Marks) -> Calls:
        """Run with some units marked, and return what each layer reads."""
        read: dict[str, list[Tensor]] = {}
        inside: list[nn.Module] = []

        def before(module: nn.Module, args: tuple[Any, ...]) -> None:
            inside.append(module)
            if is_layer(module) and args and isinstance(args[0], Tensor):
                units = args[0].detach().movedim(modules.unit_dim(module, args[0]), -1)
                rows = units.reshape(-1, units.shape[-1]).clone()
                read.setdefault(self.names[module], []).append(rows)

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            # The stack of modules that run, for the findings to name the place.
            inside.pop()
            return self._answer(module, args, output, marks)

        given = []
        for i, part in enumerate(self.example):
            given.append(self._marked_input(i, part, marks))
        bystanders = Bystanders(inside, self.names, self.result.findings)
        with hooked(self.model, before, after), bystanders:
            self.model(*given)
        return read

    def _answer(
        self, module: nn.Module, args: tuple[Any, ...], output: Any, marks: Marks
    ) -> Any:
        """Return what a module is taken to put out; None for what it puts out itself."""
        name, kind = self.names[module], modules.torch_kind(module)
        if is_layer(module):
            if modules.is_recurrent(module):
                return self._of_circuit(name, module, output, marks)
            if isinstance(output, Tensor):
                return self._of_layer(name, module, output, marks)
            self._note_unknown_output(name, module)
            return None
        if modules.is_table(module):
            if not isinstance(output, Tensor):
                return None
            self.units.of_input(name, output.shape[-1])
            return _spread(output, marks(name), -1)
        if kind is not None and kind.obstacle:
            # Attention and its like: whatever they put out carries no unit's sign.
            if isinstance(output, Tensor):
                return torch.zeros_like(output)
            return (torch.zeros_like(output[0]), *output[1:])
        return args[0] if modules.is_norm(module) and args else None

    def _of_layer(
        self, name: str, module: nn.Module, output: Tensor, marks: Marks
    ) -> Tensor:
        """Return the marks of a layer's units in the shape of its output."""
        dim = modules.unit_dim(module, output)
        width = output.shape[dim] if 0 <= dim < output.ndim else 0
        kind = modules.torch_kind(module)
        n_units = width
        if kind is not None and kind.outputs:
            n_units = modules.n_outputs(module)
        unit_signs = self.units.of_layer(name, module, n_units)
        if unit_signs.numel() != width:
            self._note_unknown_output(name, module)
            return torch.zeros_like(output)
        return _spread(output, marks(name), dim)

    def _of_circuit(
        self, name: str, module: nn.Module, output: Any, marks: Marks
    ) -> Any:
        """Mark rates and states alike, those of packed sequences too."""
        first = output if isinstance(output, Tensor) else output[0]
        rates = first.data if isinstance(first, PackedSequence) else first
        n_units = rates.shape[-1] if isinstance(rates, Tensor) else 0
        if not n_units or self.units.of_layer(name, module, n_units).numel() != n_units:
            self._note_unknown_output(name, module)
            return None
        marked = marks(name)
        answered: Any = _spread(rates, marked, -1)
        if isinstance(output, Tensor):
            return answered
        if isinstance(first, PackedSequence):
            answered = PackedSequence(
                answered,
                first.batch_sizes,
                first.sorted_indices,
                first.unsorted_indices,
            )
        # Last states are those of each direction by itself.
        one_way = marked.chunk(n_directions(module))[0]
        return (answered, *(_spread_states(part, one_way) for part in output[1:]))

    def _note_unknown_output(self, name: str, module: nn.Module) -> None:
        text = (
            f"{name or 'the model itself'}: {type(module).__name__} puts out something else"
            " than the rates of its units: not lawful"
        )
        self.result.findings[Note(text, True)] = None

    def _marked_input(self, i: int, given: Any, marks: Marks) -> Any:
        if not (isinstance(given, Tensor) and given.is_floating_point()):
            return given
        dim = self._input_dim(given)
        name = f"input {i}"
        self.units.of_input(name, given.shape[dim])
        return _spread(given, marks(name), dim)

    def _input_dim(self, given: Tensor) -> int:
        """Guess along which dimension the units of the model's input lie.

        They are the channels of images, and the features of all else.
        """
        for module in self.model.modules():
            if is_layer(module):
                dim = modules.unit_dim(module, given)
                return dim if dim >= 0 else given.ndim - 1
        return given.ndim - 1


def _spread_states(given: Any, marks: Tensor) -> Any:
    """Return the marks of units in the shape of the last states of a circuit, however nested."""
    if isinstance(given, tuple):
        return tuple(_spread_states(part, marks) for part in given)
    if not isinstance(given, Tensor):
        return given
    if given.ndim > 0 and given.shape[-1] == marks.numel():
        return _spread(given, marks, -1)
    return torch.zeros_like(given)


def _spread(like: Tensor, marks: Tensor, dim: int) -> Tensor:
    """Return the marks of units in the shape of what they put out."""
    shape = [1] * like.ndim
    shape[dim] = -1
    return marks.to(like).view(shape).expand_as(like).contiguous()
