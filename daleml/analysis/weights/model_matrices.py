"""Weight matrices read out of models and state dicts: as they are stored, and as they act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import law, modules
from daleml.analysis.weights.real_numbers import numbers

# -- as they act
# -------------------------------------------------------------------------------------------------------


def effective_weights(
    weights: nn.Module | Mapping[str, Any],
) -> Iterator[tuple[str, Tensor]]:
    """Yield what multiplies the input of each layer, ``(post, pre)``, by name.

    Of a convolution, ``pre`` is every tap.

    Args:
        weights: A module: a layer of daleml, or one of yours
            (:class:`daleml.modules.DaleLayer`), gives its effective weight under its own name;
            a recurrent one, and torch's own ``RNN``, as ``input`` and ``recurrent``, with
            ``_l1`` and so on for further layers and ``_reverse`` for the other direction; other
            modules give their matrix parameters, as they are computed where they are
            reparametrised. Or a state dict: only a DANN's three matrices are composed, other
            matrices come as they are.

    Raises:
        ValueError: If a layer has methods of the protocol, but none that gives its effective
            weight.
    """
    if not isinstance(weights, nn.Module):
        yield from _of_state(_mapping(weights))
        return
    for path, module in weights.named_modules():
        prefix = f"{path}." if path else ""
        if _acts_as_one(module, path):
            effective = modules.required(
                module, path, "effective_weight", "gives what multiplies the input"
            )()
            yield path or "weight", effective.detach().flatten(1)
        elif is_circuit(module):
            for name, value in recurrent_weights(module, path):
                yield prefix + name, value.detach()
        else:
            for name, value in _own_matrices(module):
                yield prefix + name, value
            continue
        for name, value in _others(module, path):
            yield prefix + name, value


def _acts_as_one(module: nn.Module, path: str) -> bool:
    """Whether a module has one effective weight; raise if it should say so and does not."""
    if modules.method(module, "effective_weight") is not None:
        return True
    if modules.speaks(module) and not modules.is_recurrent(module):
        modules.required(
            module, path, "effective_weight", "gives what multiplies the input"
        )
    return False


def is_circuit(module: nn.Module) -> bool:
    """Whether a module has one weight for its input and one for its state, without gates."""
    if modules.method(module, "effective_weights") is not None:
        return True
    plain = modules.synaptic_weights(module) if not modules.speaks(module) else ()
    return (
        modules.is_recurrent(module)
        and bool(plain)
        and all(one.gates == 1 for one in plain)
    )


def recurrent_weights(
    module: nn.Module, path: str = ""
) -> Iterator[tuple[str, Tensor]]:
    """Yield the effective weights of a recurrent module or cell.

    The first layer's names have no number.
    """
    if modules.method(module, "effective_weights") is not None:
        for i, layer in enumerate(modules.effective_layers(module, path)):
            for field_name, value in layer._asdict().items():
                yield f"{field_name}_l{i}" if i else field_name, value
        return
    for one in modules.synaptic_weights(module):
        number = f"_l{one.layer}" if one.layer else ""
        reverse = "_reverse" if one.reverse else ""
        yield (
            f"{'recurrent' if one.recurrent else 'input'}{number}{reverse}",
            getattr(module, one.name),
        )


def _own_matrices(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices that a module holds, as they are computed where they are pruned or reparametrised."""
    if isinstance(module, parametrize.ParametrizationList):
        return
    own = {
        name: value.detach() for name, value in module.named_parameters(recurse=False)
    }
    own |= {
        name: value
        for name, value in module.named_buffers(recurse=False)
        if name.endswith("_mask")
    }
    own = unpruned(own) | {
        name: getattr(module, name).detach() for name in parametrized(module)
    }
    pre_first = {
        one.name for one in modules.synaptic_weights(module) if one.pre_dim == 0
    }
    for name, value in own.items():
        if value.ndim > 1:
            yield (
                name,
                (value.transpose(0, 1) if name in pre_first else value).flatten(1),
            )


def _others(module: nn.Module, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices of a layer, as a subclass may have, that are no part of its effective weight."""
    if modules.speaks(module) and modules.method(module, "plastic_weights") is None:
        return
    for name, parameter in modules.other_matrices(module, path):
        plain = modules.plain_name(module, name)
        yield (
            plain,
            (parameter if plain == name else getattr(module, plain))
            .detach()
            .flatten(1),
        )


def parametrized(module: nn.Module) -> list[str]:
    """Return the names of the parameters of a module that ``torch.nn.utils.parametrize`` computes."""
    return (
        list(cast("nn.ModuleDict", module.parametrizations))
        if parametrize.is_parametrized(module)
        else []
    )


def _of_state(given: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    state = unpruned(given)
    for name, value in state.items():
        path, _, last = name.rpartition(".")
        if (
            not isinstance(value, Tensor)
            or value.ndim < 2
            or last.endswith((law.SUFFIX, law.PRESENT))
        ):
            continue
        prefix = f"{path}." if path else ""
        parts = [
            state.get(prefix + last.replace("weight_ex", part))
            for part in ("weight_ix", "weight_ei")
        ]
        if last.startswith("weight_ex") and all(
            isinstance(part, Tensor) for part in parts
        ):
            effective = value.flatten(1) - cast("Tensor", parts[1]) @ cast(
                "Tensor", parts[0]
            ).flatten(1)
            yield prefix + last.replace("weight_ex", "effective"), effective
        elif not last.startswith(("weight_ix", "weight_ei")):
            yield name, value.flatten(1)


def matrix(weights: Any) -> NDArray[np.float64]:
    """Read one matrix, float64.

    Of a module, its effective weight if it has one, else its only weight.

    A recurrent module of one layer gives what multiplies its state.

    Raises:
        ValueError: If there is not exactly one matrix, or an entry is NaN or infinite.
    """
    if isinstance(weights, nn.Module):
        weights = _unwrapped(weights)
    if (
        isinstance(weights, nn.Module)
        and modules.method(weights, "effective_weight") is not None
    ):
        weights = modules.required(
            weights, "", "effective_weight", "gives what multiplies the input"
        )().flatten(1)
    elif isinstance(weights, nn.Module) and is_circuit(weights):
        recurrent = {
            name: value
            for name, value in recurrent_weights(weights)
            if name.startswith("recurrent")
        }
        if len(recurrent) != 1:
            raise ValueError(
                f"`weights` must have one layer; got {len(recurrent)}: give"
                " `effective_weights()[i].recurrent`."
            )
        weights = recurrent["recurrent"]
    elif isinstance(weights, (nn.Module, Mapping)):
        found = dict(effective_weights(weights))
        if len(found) != 1:
            raise ValueError(
                f"`weights` must hold one matrix; got {', '.join(found) or 'none'}."
            )
        weights = next(iter(found.values()))
    array = np.asarray(numbers(weights), dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`weights` must be a matrix; got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(
            f"`weights` must be finite; got {_count_bad(array)} NaN or infinite values of"
            f" {array.size}."
        )
    return array


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the only module inside those that hold nothing else.

    Of what is compiled, parallel or averaged.
    """
    while (
        not module._parameters
        and len(module._modules) == 1
        and not modules.speaks(module)
    ):
        if is_circuit(module) or modules.method(module, "effective_weight") is not None:
            break
        (module,) = module.children()
    return module


# -- as they are stored
# ------------------------------------------------------------------------------------------------


def unpruned(state: Mapping[str, Any]) -> dict[str, Any]:
    """Compose what ``torch.nn.utils.prune`` took apart.

    ``weight_orig`` times ``weight_mask`` is ``weight``.
    """
    composed = {}
    for name, value in state.items():
        plain = name.removesuffix("_orig")
        if f"{name.removesuffix('_mask')}_orig" in state:
            continue
        composed[plain] = (
            value * state[f"{plain}_mask"]
            if f"{plain}_mask" in state and plain != name
            else value
        )
    return composed


class WeightMatrix(NamedTuple):
    """One parameter of a model, with what is known of its synapses.

    Attributes:
        name: The parameter's.
        values: Its weights; where signs are fixed, ``(others, pre)``.
        signs: One a presynaptic unit; None if not fixed.
        present: Which synapses exist, of the shape of ``values``; None if all do.
    """

    name: str
    values: NDArray[Any]
    signs: NDArray[Any] | None
    present: NDArray[np.bool_] | None

    def synapses(self) -> NDArray[Any]:
        """Return the weights of the synapses that exist, in one row."""
        return (
            self.values.ravel() if self.present is None else self.values[self.present]
        )


def weight_matrices(weights: nn.Module | Mapping[str, Any]) -> Iterator[WeightMatrix]:
    """Yield the weights of a model, parameter by parameter.

    Pruned weights come with their zeros; parameters with fewer than two dimensions are left out.
    """
    state = unpruned(
        _state_of(weights) if isinstance(weights, nn.Module) else _mapping(weights)
    )
    for name, value in state.items():
        if (
            not isinstance(value, (Tensor, np.ndarray))
            or value.ndim < 2
            or name.endswith((law.SUFFIX, law.PRESENT))
        ):
            continue
        array = numbers(value)
        if array.dtype.kind != "f":
            continue
        stored = law.saved_signs(state, name)
        if stored is None:
            yield WeightMatrix(name, array, None, None)
            continue
        by_unit, unit_signs = law.by_unit(torch.as_tensor(array), stored.cpu())
        present = law.saved_present(state, name)
        exists = (
            None
            if present is None
            else law.by_unit(present.cpu(), stored.cpu())[0].numpy().T
        )
        yield WeightMatrix(name, by_unit.numpy().T, unit_signs.numpy(), exists)


def _state_of(model: nn.Module) -> dict[str, Any]:
    """Return a model's state dict, with what is reparametrised as it is computed."""
    state: dict[str, Any] = model.state_dict()
    computed: dict[str, Tensor] = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name in parametrized(module):
            computed[prefix + name] = getattr(module, name).detach()
    if not computed:
        return state
    found: dict[str, Any] = {}
    for key, value in state.items():
        owner, inside, rest = key.partition("parametrizations.")
        name = owner + rest.partition(".")[0] if inside else key
        found[name] = computed.get(name, value)
    return found


def _mapping(weights: object) -> Mapping[str, Any]:
    """Return a state dict as it is, or raise if it is something else."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"`weights` must be a module or a state dict; got {type(weights).__name__}."
        )
    return weights


def _count_bad(array: NDArray[Any]) -> int:
    return int(np.count_nonzero(~np.isfinite(array)))
