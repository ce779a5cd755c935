"""The ways in which the models of an ensemble run, the fastest that can run them.

*Batched*: a model that is a chain of layers runs layer by layer, each by a form of
:mod:`~daleml.experiments._ensemble.batched_layers`. *Vmapped*: any other model runs once, under
``torch.func.vmap``, with those forms in place of the layers that have one. *One by one*: what
neither can run.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._functorch import pyfunctorch
from torch.utils import _pytree as pytree

from daleml import _sparse_weights
from daleml.experiments._ensemble import attributes, likeness
from daleml.experiments._ensemble.batched_circuits import CIRCUITS
from daleml.experiments._ensemble.batched_layers import FORMS, Activity, BatchedForm
from daleml.experiments._ensemble.call_values import (
    kind_of_call,
    stacked_results,
    unwrapped,
)
from daleml.experiments._ensemble.layer_stack import LayerStack
from daleml.experiments._ensemble.parameter_stack import ParameterStack, Place
from daleml.experiments._ensemble.random_streams import Streams
from daleml.experiments._ensemble.swapping import buffers_of, swapped
from daleml.layers._recurrent import batched_steps
from daleml.layers._recurrent.circuit import Circuit
from daleml.layers._recurrent.ensembles import DIGEST

_LEFT = (DIGEST,)
"""Buffers that stay those of the first model, which says that nothing stands in for it."""


class MemberRuns:
    """Runs the models of an ensemble on one input.

    Args:
        stack: Their parameters.
        streams: What they draw from.

    Attributes:
        way: ``"batched"``, ``"vmapped"`` or ``"one by one"``.
        reason: Why they do not run together, where they do not.
    """

    def __init__(self, stack: ParameterStack, streams: Streams) -> None:
        self.stack, self.streams = stack, streams
        self.members = stack.members
        self.forms: dict[str, BatchedForm] = {}
        first = self.members[0]
        for path in stack.modules[0]:
            layers = [modules[path] for modules in stack.modules]
            kind = FORMS.get(type(layers[0])) or CIRCUITS.get(type(layers[0]))
            if kind is not None and _has_plain_parameters(layers, path, stack):
                self.forms[path] = kind(LayerStack(path, layers, stack, streams))
        self.chain = _chain(first)
        self.reason = self._difference()
        self.way = "one by one" if self.reason else "vmapped"
        chained = not self.reason and self.chain is not None
        if chained and all(map(self._is_ready, self.chain or ())):
            self.way = "batched"
        # Kinds of calls that have run together.
        self._known: set[Any] = set()
        self._stacks: dict[Place, tuple[list[Any], Tensor]] = {}
        self._level = 0
        self._own_buffers: dict[str, list[tuple[str, Tensor | None]]] = {}
        self._hooks: list[Any] = []
        for modules in stack.modules:
            for module in modules.values():
                self._hooks += [module._forward_hooks, module._forward_pre_hooks]

    def _difference(self) -> str:
        """Return in which number models differ that their code would take from the first."""
        for path in self.stack.modules[0]:
            layers: list[Any] = [modules[path] for modules in self.stack.modules]
            where = path or "the model itself"
            if _is_sparse(layers[0]):
                return f"the weights of `{where}` are sparse"
            if not self._is_ready(path) and likeness.buffers_differ(layers):
                return f"buffers of `{where}` differ, as where some have no mask"
            # A form takes the numbers of each circuit, a transform those of the first.
            is_run_as_first = isinstance(layers[0], Circuit) and not self._is_ready(
                path
            )
            if is_run_as_first and batched_steps.settings_differ(layers):
                return f"circuits at `{where}` differ in their settings"
        differing = likeness.differing_attribute(self.stack.modules)
        return "" if differing is None else f"{differing} differs"

    def _is_ready(self, path: str) -> bool:
        """Whether layers have a form, which circuits use as they are."""
        form = self.forms.get(path)
        if form is None or not isinstance(form.layers.first, Circuit):
            return form is not None
        return form.accepts(_example(form.layers.first))

    def __call__(self, args: Sequence[Any], kwargs: dict[str, Any], each: bool) -> Any:
        """Run all models.

        Args:
            args: What a model takes by position.
            kwargs: What it takes by keyword.
            each: Whether tensors have a first dimension of models.

        Returns:
            What a model returns, with a first dimension of models in every tensor.
        """
        if self.way == "one by one" or any(self._hooks):
            return self._one_by_one(args, kwargs, each)
        training = self.members[0].training
        kind = (training, *kind_of_call(args, kwargs))
        undo = None if kind in self._known else self._noted()
        held = attributes.Held(self.stack.modules[0])
        try:
            if self.chain is not None and len(args) == 1 and not kwargs:
                result = self._chained(Activity(args[0], not each))
            else:
                result = self._vmapped("", args, kwargs, not each)
            written = held.written()
            if written is not None:
                raise ValueError(f"{written} is written to while it runs")
            self._known.add(kind)
            return result
        except Exception as error:
            held.written()
            self._stacks.clear()
            if undo is not None:
                undo()
            # Where a model itself is at fault, running it alone says so in its own words.
            result = self._one_by_one(args, kwargs, each)
            self.way, self.reason = "one by one", _first_line(error)
            warnings.warn(
                "`Ensemble` runs its models one by one, since they could not run together:"
                f" {self.reason}",
                stacklevel=4,
            )
            return result

    def _noted(self) -> Callable[[], None]:
        """Note what a run may change before it fails, and return what puts it back."""
        states = self.streams.states()
        buffers = [
            (module._buffers, name, buffer, buffer.clone())
            for modules in self.stack.modules
            for module in modules.values()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]

        def undo() -> None:
            self.streams.set_states(states)
            with torch.no_grad():
                for kept, name, buffer, value in buffers:
                    kept[name] = buffer
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)

        return undo

    # -- layer by layer

    def _chained(self, given: Activity) -> Any:
        for path in self.chain or ():
            form = self.forms.get(path)
            if form is not None and form.accepts(given):
                given = form(given)
            else:
                value = self._vmapped(path, (given.value,), {}, given.shared)
                given = Activity(value, shared=False)
        if not given.shared:
            return given.value
        n = len(self.members)
        return pytree.tree_map(lambda one: one.expand(n, *one.shape), given.value)

    # -- by a transform

    def _vmapped(
        self, path: str, args: Sequence[Any], kwargs: dict[str, Any], shared: bool
    ) -> Any:
        """Run a submodule of all models, or the models themselves, under ``vmap``."""
        modules = self.stack.modules[0]
        module = modules[path]
        inside = _within(path)
        owned = [place for place in self.stack.at if inside(place.path)]
        forwards: dict[str, Callable[..., Any]] = {}
        for inner, form in self.forms.items():
            if inside(inner) and inner != path:
                forwards[inner] = functools.partial(self._as_layer, form)
        self._require_circuits_alike(path)
        buffers = self._stacked_buffers(path)
        self._own_buffers = {
            inner: list(modules[inner]._buffers.items()) for inner in forwards
        }
        leaves, spec = pytree.tree_flatten((tuple(args), kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

        def run(
            parameters: list[Tensor], kept: list[Tensor], given: list[Tensor]
        ) -> tuple[Any, list[Any]]:
            self._level = _level()
            waiting = iter(given)
            filled = [
                next(waiting) if isinstance(leaf, Tensor) else leaf for leaf in leaves
            ]
            own_args, own_kwargs = pytree.tree_unflatten(filled, spec)
            stand_ins = dict(zip(owned, parameters, strict=True))
            kept_ones = dict(zip(buffers, kept, strict=True))
            with swapped(modules, stand_ins, kept_ones, forwards):
                result = module(*own_args, **own_kwargs)
                after = [modules[one.path]._buffers[one.own] for one in buffers]
            return result, after

        result, after = torch.func.vmap(
            run, in_dims=(0, 0, None if shared else 0), randomness="different"
        )([self.stack.at[place] for place in owned], list(buffers.values()), tensors)
        for place, values in zip(buffers, after, strict=True):
            self._write_buffers(place, values)
        return result

    def _as_layer(self, form: BatchedForm, *args: Any, **kwargs: Any) -> Any:
        """Run a form in place of the first model's layer, within a transform."""
        functorch = torch._C._functorch
        layer, path = form.layers.first, form.layers.path
        given = None
        # Within a transform of the model's own, dimensions are others than that of models.
        if _level() == self._level:
            given = unwrapped(args, kwargs, len(form.layers), self._level)
        if given is not None:
            # Forms read the buffers of each layer.
            own = {Place(path, name): one for name, one in self._own_buffers[path]}
            # Outside of the transform, where a form finds plain tensors and may draw.
            with (
                swapped(self.stack.modules[0], {}, own, {}),
                pyfunctorch.temporarily_pop_interpreter_stack(),
            ):
                found = form(given) if form.accepts(given) else None
            if found is not None and found.shared:
                return found.value
            if found is not None:
                return pytree.tree_map(
                    lambda one: functorch._add_batch_dim(one, 0, self._level),
                    found.value,
                )
        self._require_circuits_alike(path)
        return type(layer).forward(layer, *args, **kwargs)

    def _require_circuits_alike(self, path: str) -> None:
        """Raise if circuits there, which are to run as themselves, differ in their settings."""
        layers: list[Any] = [modules[path] for modules in self.stack.modules]
        if isinstance(layers[0], Circuit) and batched_steps.settings_differ(layers):
            raise ValueError(f"circuits at `{path}` differ in their settings")

    def _stacked_buffers(self, path: str) -> dict[Place, Tensor]:
        """Return the buffers of a submodule of all models, stacked where one was written to."""
        found = {}
        for place in buffers_of(self.stack.modules[0], path):
            if place.own in _LEFT:
                continue
            layers = [modules[place.path] for modules in self.stack.modules]
            if likeness.buffers_differ(layers):
                if place.path in self.forms:
                    continue
                raise ValueError(f"buffers of `{place.path}` differ")
            each: list[Any] = [layer._buffers[place.own] for layer in layers]
            stamp = [(id(one), one._version, one.data_ptr()) for one in each]
            kept = self._stacks.get(place)
            if kept is None or kept[0] != stamp:
                kept = self._stacks[place] = (stamp, torch.stack(each))
            found[place] = kept[1]
        return found

    @torch.no_grad()
    def _write_buffers(self, place: Place, values: Tensor) -> None:
        """Give each model the buffers that a forward pass changed, as averages of a batch norm."""
        # By values: torch counts no writes within the transform.
        for modules, value in zip(self.stack.modules, values.unbind(0), strict=True):
            buffer = modules[place.path]._buffers[place.own]
            assert buffer is not None  # it was stacked
            if not torch.equal(buffer, value):
                buffer.copy_(value)

    # -- each by itself

    def _one_by_one(
        self, args: Sequence[Any], kwargs: dict[str, Any], each: bool
    ) -> Any:
        slices = {
            name: stacked.unbind(0) for name, stacked in self.stack.parameters.items()
        }
        results = []
        for k, member in enumerate(self.members):
            own = {}
            for name, places in self.stack.places.items():
                own.update(dict.fromkeys(places, slices[name][k]))
            # A copy of what all read, for a model may write into what it is given.
            take = operator.itemgetter(k) if each else torch.clone
            given: Any = pytree.tree_map_only(Tensor, take, (tuple(args), kwargs))
            with swapped(self.stack.modules[k], own, {}, {}), self.streams.as_global(k):
                results.append(member(*given[0], **given[1]))
        return stacked_results(results)


def _level() -> int:
    """Return how many transforms are active."""
    level: int = pyfunctorch.retrieve_current_functorch_interpreter().level()
    return level


def _within(path: str) -> Callable[[str], bool]:
    if not path:
        return lambda other: True
    return lambda other: other == path or other.startswith(path + ".")


def _chain(model: nn.Module) -> list[str] | None:
    """Return the layers of a model that is a chain of them, in order; else None."""
    # A layer that stands at several places has one name, its first.
    names = {id(module): path for path, module in model.named_modules()}
    waiting: list[nn.Module] = [model]
    found = []
    while waiting:
        module = waiting.pop(0)
        if type(module) is nn.Sequential:
            waiting = [*module, *waiting]
        else:
            found.append(names[id(module)])
    # What is no chain and has parts of its own runs as itself, which is the model itself here.
    whole = found == [""] and bool(model._modules)
    return None if whole else found


def _has_plain_parameters(
    layers: Sequence[nn.Module], path: str, stack: ParameterStack
) -> bool:
    """Whether all parameters of layers are their own, neither pruned nor computed."""
    first = layers[0]
    if first._modules or any(name.endswith("_orig") for name in first._parameters):
        return False
    return all(
        stack.layer(path, name) is not None
        for name, parameter in first._parameters.items()
        if parameter is not None
    )


def _is_sparse(layer: nn.Module) -> bool:
    """Whether a layer keeps one number for each synapse of a weight."""
    return any(_sparse_weights.is_sparse(layer, name) for name in layer._parameters)


def _example(circuit: Circuit) -> Activity:
    """Return an input that a circuit takes, of one step and one sequence."""
    like = next(iter(circuit._parameters.values()))
    assert like is not None  # every circuit has weights
    return Activity(like.new_zeros(1, 1, circuit.input_size), shared=True)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
