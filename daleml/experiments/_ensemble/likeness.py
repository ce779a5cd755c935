"""The comparison of models that are to run together: what must be equal, and what may differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from daleml import law
from daleml.layers._recurrent.circuit import Circuit

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_OF_TORCH = frozenset(vars(nn.Module()))
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


def differing_numbers(modules: Sequence[nn.Module]) -> str | None:
    """Return the name of a plain attribute in which modules differ; None if there is none.

    Tensors are stacked, so they may differ. An attribute that is neither a plain value nor a
    tuple or list of such is not compared.
    """
    first = dict(_plain_attributes(modules[0]))
    for module in modules[1:]:
        found = dict(_plain_attributes(module))
        for name in first.keys() | found.keys():
            if first.get(name) != found.get(name):
                return name
    return None


def buffers_differ(modules: Sequence[nn.Module]) -> bool:
    """Whether modules have other buffers, as where some have a mask and others have none."""
    first = modules[0]._buffers.keys()
    return any(module._buffers.keys() != first for module in modules[1:])


def _plain_attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    is_ours = type(module).__module__.partition(".")[0] == "daleml"
    for name, value in vars(module).items():
        # What layers of this package keep for themselves follows from their settings.
        if name in _OF_TORCH or (is_ours and name.startswith("_")):
            continue
        if _is_plain(value):
            yield name, value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def circuits_differ(circuits: Sequence[Circuit]) -> bool:
    """Whether circuits differ in a setting that hand-batched products do not take from each."""
    first = [getattr(circuits[0], name, None) for name in _OF_CIRCUITS]
    for circuit in circuits[1:]:
        if [getattr(circuit, name, None) for name in _OF_CIRCUITS] != first:
            return True
    return False


def digests_differ(circuits: Sequence[Circuit]) -> bool:
    """Whether circuits differ in a setting that a transform would take from the first."""
    first = circuits[0]._settings_digest()
    return any(circuit._settings_digest() != first for circuit in circuits[1:])
