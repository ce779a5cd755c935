"""The comparison of models that are to run together: what must be equal, and what may differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from daleml import law
from daleml.experiments._ensemble import attributes
from daleml.layers._recurrent.circuit import Circuit

_OF_CIRCUITS = (
    "nonlinearity",
    "batch_first",
    "bias",
    "dropout",
    "num_layers",
    "state_names",
    "_leaks",
)
"""What circuits must have in common to run together by hand-batched products."""


def require_alike(members: Sequence[nn.Module], names: Sequence[str]) -> None:
    """Raise unless models are made of the same modules, with parameters of the same shapes.

    Raises:
        ValueError: If they are not.
    """
    first = _form(members[0])
    for name, member in zip(names[1:], members[1:], strict=True):
        form = _form(member)
        for key in first.keys() | form.keys():
            if first.get(key) == form.get(key):
                continue
            raise ValueError(
                "`make_model` must give models of one form, whatever their numbers;"
                f" {names[0]} has {_shown(first, key)} and {name} {_shown(form, key)}."
            )


def _form(model: nn.Module) -> dict[str, Any]:
    """Return the class of every module, and shape, dtype and sharing of every tensor."""
    found: dict[str, Any] = {}
    seen: dict[int, str] = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        found[path or "the model itself"] = type(module).__qualname__
        for own, parameter in module._parameters.items():
            if parameter is not None:
                shared = seen.setdefault(id(parameter), prefix + own)
                learns = "" if parameter.requires_grad else ", frozen"
                found[prefix + own] = _described(parameter) + f"{learns} ({shared})"
        for own, buffer in module._buffers.items():
            # A mask that happens to have every synapse is none.
            if buffer is not None and not own.endswith(law.BUFFERS):
                found[prefix + own] = _described(buffer)
    return found


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}, {tensor.dtype}, {tensor.device}"


def _shown(form: dict[str, Any], key: str) -> str:
    if key not in form:
        return f"no `{key}`"
    return f"`{key}` of {form[key]}"


def warn_of_copies(stacked: Sequence[Tensor]) -> None:
    """Warn if models from several seeds begin with the same weights, though weights differ.

    Args:
        stacked: Their parameters, (models, ...).
    """
    drawn = False
    for parameter in map(Tensor.detach, stacked):
        if len(parameter) < 2 or not bool((parameter == parameter[:1]).all()):
            return
        # What begins as one number, as biases do, is alike from any seed.
        drawn = drawn or bool((parameter[0] != parameter[0].flatten()[:1]).any())
    if drawn:
        warnings.warn(
            "`make_model` gave the same weights for all seeds, so that there is one model,"
            " many times: let it draw from torch's global generator, which is seeded for"
            " it, or from the `seed` that it takes.",
            stacklevel=3,
        )


def differing_attribute(members: Sequence[Mapping[str, nn.Module]]) -> str | None:
    """Say which attribute of models differs that is no tensor of theirs; None if none does.

    Args:
        members: The modules of each model, by path.

    Raises:
        ValueError: If one holds a parameter a second time, where no other can stand in for it.
    """
    for k, member in enumerate(members):
        _require_by_name(member)
        if not k:
            continue
        compare = attributes.Comparison(members[0], member)
        for path, module in member.items():
            # A form takes the numbers of each circuit.
            if isinstance(module, Circuit):
                continue
            first, found = (
                dict(attributes.of(one[path])) for one in (members[0], member)
            )
            for name in first.keys() | found.keys():
                both = name in first and name in found
                if not both or not compare.alike(first[name], found[name]):
                    return f"`{name}` of `{path or 'the model itself'}`"
    return None


def _require_by_name(modules: Mapping[str, nn.Module]) -> None:
    """Raise if a list or a table of a model holds parameters that it has under a name, too."""
    own = {
        id(one) for module in modules.values() for one in module._parameters.values()
    }
    own.discard(id(None))
    for path, module in modules.items():
        for name, value in attributes.of(module):
            held = value.values() if isinstance(value, dict) else value
            if isinstance(held, nn.Parameter) or not isinstance(
                value, (list, tuple, dict)
            ):
                continue
            if any(id(one) in own for one in held):
                raise ValueError(
                    "models of an ensemble must hold each parameter under its name alone;"
                    f" `{name}` of `{path or 'the model itself'}` holds some again: make it"
                    " a ParameterList, a ParameterDict or a property."
                )


def buffers_differ(modules: Sequence[nn.Module]) -> bool:
    """Whether modules have other buffers, as where some have a mask and others have none."""
    first = modules[0]._buffers.keys()
    return any(module._buffers.keys() != first for module in modules[1:])


def circuits_differ(circuits: Sequence[Circuit]) -> bool:
    """Whether circuits differ in a setting that hand-batched products do not take from each."""
    first = [getattr(circuits[0], name, None) for name in _OF_CIRCUITS]
    for circuit in circuits[1:]:
        if [getattr(circuit, name, None) for name in _OF_CIRCUITS] != first:
            return True
    return False
