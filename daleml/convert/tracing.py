"""Run a model on an example, to find which units each of its weights reads and what lies between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from daleml import modules
from daleml.convert.bystanders import Bystanders
from daleml.convert.conversion_report import Note
from daleml.convert.example_inputs import Example, hooked, undisturbed
from daleml.convert.unit_signs import Calls, Units, fixed_inputs, is_layer, n_directions

Marks = Callable[[str], Tensor]
"""By what puts them out, which units are marked: 1 where they are, else 0."""


@dataclass
class Trace:
    """What running the example showed.

    Attributes:
        units: The signs of all units.
        signs: The signs of the units that each layer reads: +1, -1, or 0 where an entry mixes
            both; NaN where no unit that has a sign reaches it. Layers that never ran are not in
            it.
        order: Names of the layers in the order in which they first ran.
        inconsistent: Names of layers that read units of other signs at another call.
        signed_rates: Names of layers that read negative values.
        findings: What was done to activations outside layers: sentences, in order, each once.
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

    No weight runs: each layer answers with the marks of its own output units, normalisations
    pass marks on. The model runs with all units silent, with the excitatory ones marked, and
    with the inhibitory ones; what differs from silence at a layer's input is what reaches it.
    Where layers have fixed the signs of what they read, the units are numbered first, and
    marked one binary digit after another, to find whose signs those are. One more run, of the
    model as it is, looks for negative rates.
    """
    result = Trace(Units(inhibitory, inputs))
    units = result.units
    run = _Runner(model, example, result)
    with undisturbed(model):
        run.look_for_negative_rates()
        model.eval()
        silent = run.marked(lambda name: torch.zeros_like(units.signs[name]))
        if any(True for _ in fixed_inputs(model)):
            digits = range(units.total.bit_length())
            units.settle(
                model,
                silent,
                [
                    (run.marked_digit(digit, 1), run.marked_digit(digit, 0))
                    for digit in digits
                ],
            )
        excited = run.marked(lambda name: units.signs[name] > 0)
        inhibited = run.marked(lambda name: units.signs[name] < 0)
    for name, calls in silent.items():
        found = []
        for quiet, exc, inh in zip(calls, excited[name], inhibited[name], strict=True):
            reached_e, reached_i = (quiet != exc).any(0), (quiet != inh).any(0)
            unit_signs = torch.where(
                reached_e, 1.0, torch.where(reached_i, -1.0, torch.nan)
            )
            found.append(torch.where(reached_e & reached_i, 0.0, unit_signs))
        result.signs[name] = found[0]
        result.order.append(name)
        if any(
            not torch.equal(found[0].nan_to_num(9), other.nan_to_num(9))
            for other in found[1:]
        ):
            result.inconsistent.add(name)
    return result


class _Runner:
    """Runs a model on its example, with marks for rates."""

    def __init__(self, model: nn.Module, example: Example, result: Trace) -> None:
        self.model, self.example, self.result, self.units = (
            model,
            example,
            result,
            result.units,
        )
        self.names = {module: name for name, module in model.named_modules()}

    def look_for_negative_rates(self) -> None:
        def before(module: nn.Module, args: tuple[Any, ...]) -> None:
            rates = args[0] if args else None
            if is_layer(module) and isinstance(rates, Tensor) and (rates < 0).any():
                self.result.signed_rates.add(self.names[module])

        with hooked(self.model, before, None):
            self.model(*self.example)

    def marked_digit(self, digit: int, value: int) -> Calls:
        """Run with the units marked whose number has a value for one of its binary digits."""
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
                read.setdefault(self.names[module], []).append(
                    units.reshape(-1, units.shape[-1]).clone()
                )

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            inside.pop()
            return self._answer(module, args, output, marks)

        given = [
            self._marked_input(i, part, marks) for i, part in enumerate(self.example)
        ]
        with (
            hooked(self.model, before, after),
            Bystanders(inside, self.names, self.result.findings),
        ):
            self.model(*given)
        return read

    def _answer(
        self, module: nn.Module, args: tuple[Any, ...], output: Any, marks: Marks
    ) -> Any:
        """Return what a module is taken to put out; None for what it does."""
        name, kind = self.names[module], modules.torch_kind(module)
        if is_layer(module):
            if modules.is_recurrent(module):
                return self._of_circuit(name, module, output, marks)
            if isinstance(output, Tensor):
                return self._of_layer(name, module, output, marks)
            self._unlike(name, module)
            return None
        if modules.is_table(module):
            if not isinstance(output, Tensor):
                return None
            self.units.of_input(name, output.shape[-1])
            return _spread(output, marks(name), -1)
        if kind is not None and kind.obstacle:
            first = output if isinstance(output, Tensor) else output[0]
            return (
                torch.zeros_like(first)
                if first is output
                else (torch.zeros_like(first), *output[1:])
            )
        return args[0] if modules.is_norm(module) and args else None

    def _of_layer(
        self, name: str, module: nn.Module, output: Tensor, marks: Marks
    ) -> Tensor:
        dim = modules.unit_dim(module, output)
        width = output.shape[dim] if 0 <= dim < output.ndim else 0
        kind = modules.torch_kind(module)
        known = (
            modules.n_outputs(module) if kind is not None and kind.outputs else width
        )
        unit_signs = self.units.of_layer(name, module, known)
        if unit_signs.numel() != width:
            self._unlike(name, module)
            return torch.zeros_like(output)
        return _spread(output, marks(name), dim)

    def _of_circuit(
        self, name: str, module: nn.Module, output: Any, marks: Marks
    ) -> Any:
        """Mark rates and states alike, those of packed sequences too."""
        first = output if isinstance(output, Tensor) else output[0]
        rates = first.data if isinstance(first, PackedSequence) else first
        if not isinstance(rates, Tensor):
            self._unlike(name, module)
            return None
        unit_signs = self.units.of_layer(name, module, rates.shape[-1])
        if unit_signs.numel() != rates.shape[-1]:
            self._unlike(name, module)
            return None
        marked = marks(name)
        one_way = marked.chunk(n_directions(module))[0]

        def states(given: Any) -> Any:
            if isinstance(given, Tensor):
                fits = given.ndim > 0 and given.shape[-1] == one_way.numel()
                return _spread(given, one_way, -1) if fits else torch.zeros_like(given)
            return (
                tuple(states(part) for part in given)
                if isinstance(given, tuple)
                else given
            )

        if isinstance(output, Tensor):
            return _spread(output, marked, -1)
        answered: Any = _spread(rates, marked, -1)
        if isinstance(first, PackedSequence):
            answered = PackedSequence(
                answered,
                first.batch_sizes,
                first.sorted_indices,
                first.unsorted_indices,
            )
        return (answered, *(states(part) for part in output[1:]))

    def _unlike(self, name: str, module: nn.Module) -> None:
        said = (
            f"{type(module).__name__} puts out something else than the rates of its units:"
            " not lawful"
        )
        self.result.findings[Note(f"{name or 'the model itself'}: {said}", True)] = None

    def _marked_input(self, i: int, given: Any, marks: Marks) -> Any:
        if not (isinstance(given, Tensor) and given.is_floating_point()):
            return given
        dim = self._input_dim(given)
        name = f"input {i}"
        self.units.of_input(name, given.shape[dim])
        return _spread(given, marks(name), dim)

    def _input_dim(self, given: Tensor) -> int:
        """Guess along which dimension the units of the model's input lie.

        Channels of images, features of all else.
        """
        first = next(
            (module for module in self.model.modules() if is_layer(module)), None
        )
        dim = given.ndim - 1 if first is None else modules.unit_dim(first, given)
        return dim if dim >= 0 else given.ndim - 1


def _spread(like: Tensor, marks: Tensor, dim: int) -> Tensor:
    """Return the marks of units in the shape of what they put out."""
    shape = [1] * like.ndim
    shape[dim] = -1
    return marks.to(like).view(shape).expand_as(like).contiguous()
