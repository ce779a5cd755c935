"""Weight matrices as they act: what multiplies the input and the state of each layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import modules
from daleml._sparse_weights import block as sparse_block
from daleml._sparse_weights import dense, dense_if_small
from daleml._support.sharded_tensors import gathered, reshard, whole
from daleml.analysis.weights import pathways
from daleml.analysis.weights.pathways import By
from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.stored_matrices import (
    computed,
    is_matrix,
    parametrized,
    require_state,
    unpruned,
)
from daleml.populations import Populations

# What a layer's method is for, in the error that says that it lacks one.
_PURPOSE = "gives what multiplies the input"


def effective_weights(
    weights: nn.Module | Mapping[str, Any], *, by: By = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield what multiplies the input of each layer, ``(post, pre)``, by name.

    For a convolution, ``pre`` is every tap. A sparse weight of more than 2**26 entries comes as
    ``torch.sparse_csr``.

    Args:
        weights: A module: a layer of daleml, or one of yours
            (:class:`daleml.modules.DaleLayer`), gives its effective weight under its own name;
            a recurrent one, and torch's own ``RNN``, as ``input`` and ``recurrent``, with
            ``_l1`` and so on for further layers and ``_reverse`` for the other direction; other
            modules give their matrix parameters, as they are computed where they are
            reparametrised. Or a state dict: only a DANN's three matrices are composed, other
            matrices come as they are.
        by: Whether to divide them by ``"population"``, the presynaptic one, or ``"pathway"``:
            the names are followed by those. What no layer names the populations of comes whole.

    Raises:
        TypeError: If ``weights`` are neither, or ``by`` is given for a state dict.
        ValueError: If a layer has methods of the protocol, but none that gives its effective
            weight; or ``by`` is given and no layer names its populations.

    Example:
        >>> from daleml.layers import DANNLinear
        >>> [(name, tuple(value.shape)) for name, value in effective_weights(DANNLinear(4, 3))]
        [('weight', (3, 4))]
    """
    for name, value in as_they_act(weights, by=by):
        yield name, dense_if_small(value)


def as_they_act(
    weights: nn.Module | Mapping[str, Any], *, by: By = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield :func:`effective_weights`, sparse ones of any size as ``torch.sparse_csr``."""
    if by is not None:
        yield from _divided(weights, by)
        return
    if not isinstance(weights, nn.Module):
        yield from _of_state(require_state(weights))
        return
    reshard(weights)
    for path, module in weights.named_modules():
        prefix = f"{path}." if path else ""
        if _acts_as_one(module, path):
            # A subclass may hold further matrices, which come after this one.
            with gathered(module):
                composed = modules.required(module, path, "effective_weight", _PURPOSE)
                effective = composed()
            yield path or "weight", effective.detach().flatten(1)
            found = _other_matrices(module, path)
        elif is_circuit(module):
            for name, value in recurrent_weights(module, path):
                yield prefix + name, value.detach()
            found = _other_matrices(module, path)
        else:
            found = _own_matrices(module)
        for name, value in found:
            yield prefix + name, value


def _divided(model: Any, by: By) -> Iterator[tuple[str, Tensor]]:
    """Divide what multiplies the input of each layer, by the populations of its units."""
    pathways.require_module(model, by)
    known: dict[str, modules.SynapticWeight] = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for one in modules.known_weights(module, path):
            known[_effective_name(module, path, prefix, one)] = one
    pathways.require_populations(known.values())
    for name, value in as_they_act(model):
        found = known.get(name)
        pre, post = (None, None) if found is None else (found.pre, found.post)
        if found is not None and found.units is not None:
            value = value[:, found.units]
        # The taps of a kernel lie side by side, channel by channel.
        if pre is not None and value.shape[1] % pre.size == 0:
            pre = pre.repeat(value.shape[1] // pre.size)
        for block in pathways.blocks(by, pre, post, tuple(value.shape)):
            part = sparse_block(value, block.post, block.pre)
            yield f"{name} {block.label}".rstrip(), part


def _effective_name(
    module: nn.Module, path: str, prefix: str, one: modules.SynapticWeight
) -> str:
    """Return the name under which a weight of a module comes as it acts."""
    if modules.method(module, "effective_weight") is not None:
        return path or "weight"
    if not is_circuit(module):
        return prefix + one.name
    name = "recurrent" if one.recurrent else "input"
    return f"{prefix}{name}_l{one.layer}" if one.layer else prefix + name


def _acts_as_one(module: nn.Module, path: str) -> bool:
    """Return whether a module has one effective weight; raise if it should say so and does not."""
    if modules.method(module, "effective_weight") is not None:
        return True
    if modules.speaks(module) and not modules.is_recurrent(module):
        modules.required(module, path, "effective_weight", _PURPOSE)
    return False


def is_circuit(module: nn.Module) -> bool:
    """Return whether a module has one weight for its input, one for its state, and no gates."""
    if modules.method(module, "effective_weights") is not None:
        return True
    if modules.speaks(module) or not modules.is_recurrent(module):
        return False
    # The gates of an LSTM or a GRU share a matrix, which multiplies no single state.
    gates = {one.gates for one in modules.synaptic_weights(module)}
    return gates == {1}


def recurrent_weights(
    module: nn.Module, path: str = ""
) -> Iterator[tuple[str, Tensor]]:
    """Yield the effective weights of a recurrent module or cell.

    The first layer's names have no number.
    """
    if modules.method(module, "effective_weights") is not None:
        for i, layer in enumerate(modules.effective_layers(module, path)):
            for name, value in layer._asdict().items():
                yield (f"{name}_l{i}" if i else name), value
        return
    for one in modules.synaptic_weights(module):
        name = "recurrent" if one.recurrent else "input"
        if one.layer:
            name += f"_l{one.layer}"
        if one.reverse:
            name += "_reverse"
        yield name, whole(getattr(module, one.name))


def _own_matrices(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices that a module holds, as they are computed where they are pruned."""
    if isinstance(module, parametrize.ParametrizationList):
        return
    stored: dict[str, Tensor] = dict(module.named_parameters(recurse=False))
    for name, value in module.named_buffers(recurse=False):
        if name.endswith("_mask"):
            stored[name] = value
    own = unpruned(stored)
    for name in parametrized(module):
        own[name] = computed(module, name)
    # Some of torch's modules, as ConvTranspose2d, store the presynaptic dimension first.
    synaptic = modules.synaptic_weights(module)
    pre_first = {one.name for one in synaptic if one.pre_dim == 0}
    for name, value in own.items():
        if value.ndim < 2:
            continue
        value = whole(value)
        if name in pre_first:
            value = value.transpose(0, 1)
        yield name, value.detach().flatten(1)


def _other_matrices(module: nn.Module, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices of a layer that are no part of its effective weight.

    A subclass may have such.
    """
    if modules.speaks(module) and modules.method(module, "plastic_weights") is None:
        return
    for name, parameter in modules.other_matrices(module, path):
        plain = modules.plain_name(module, name)
        value = parameter if plain == name else getattr(module, plain)
        yield plain, whole(value).detach().flatten(1)


def _of_state(given: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices of a state dict, the three of a DANN as one."""
    state = unpruned(given)
    for name, value in state.items():
        if not isinstance(value, Tensor) or not is_matrix(name, value):
            continue
        value = whole(value)
        path, dot, last = name.rpartition(".")
        ix = state.get(path + dot + last.replace("weight_ex", "weight_ix"))
        ei = state.get(path + dot + last.replace("weight_ex", "weight_ei"))
        is_dann = last.startswith("weight_ex")
        if is_dann and isinstance(ix, Tensor) and isinstance(ei, Tensor):
            # What multiplies the input of a DANN: Wex - Wei Wix (Cornford et al., 2021).
            effective = value.flatten(1) - whole(ei) @ whole(ix).flatten(1)
            yield path + dot + last.replace("weight_ex", "effective"), effective
        elif not last.startswith(("weight_ix", "weight_ei")):
            yield name, value.flatten(1)


def matrix(weights: Any) -> NDArray[np.float64]:
    """Read one matrix, float64.

    For a module that is its effective weight if it has one, else its only weight. A recurrent
    module of one layer gives what multiplies its state.

    Raises:
        ValueError: If there is not exactly one matrix, or an entry is NaN or infinite.
    """
    if isinstance(weights, nn.Module):
        weights = _of_module(_unwrapped(weights))
    elif isinstance(weights, Mapping):
        weights = _only_matrix(weights)
    if isinstance(weights, Tensor):
        # Small enough, or refused in a sentence.
        weights = dense(weights)
    array = np.asarray(numbers(weights), dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`weights` must be a matrix; got shape {array.shape}.")
    n_wrong = int(np.count_nonzero(~np.isfinite(array)))
    if n_wrong:
        raise ValueError(
            f"`weights` must be finite; got {n_wrong} NaN or infinite values of"
            f" {array.size}."
        )
    return array


def only_matrix(module: nn.Module) -> Tensor:
    """Return the one matrix of a module, of a sparse weight ``torch.sparse_csr``."""
    return _of_module(_unwrapped(module)).detach()


def populations_of(
    module: nn.Module,
) -> tuple[Populations | None, Populations | None]:
    """Return the populations of the rows and columns of a module's :func:`matrix`, if known."""
    inner = _unwrapped(module)
    known = modules.known_weights(inner)
    if is_circuit(inner):
        known = tuple(one for one in known if one.recurrent)
    if len(known) != 1:
        return None, None
    # A read-out of excitatory units has columns, of zeros, for the others too.
    if known[0].units is not None:
        return known[0].post, None
    return known[0].post, known[0].pre


def _of_module(module: nn.Module) -> Tensor:
    """Return the one matrix of a module."""
    if modules.method(module, "effective_weight") is not None:
        effective: Tensor
        with gathered(module):
            effective = modules.required(module, "", "effective_weight", _PURPOSE)()
        return effective.flatten(1)
    if not is_circuit(module):
        return _only_matrix(module)
    recurrent = []
    for name, value in recurrent_weights(module):
        if name.startswith("recurrent"):
            recurrent.append(value)
    if len(recurrent) != 1:
        raise ValueError(
            f"`weights` must have one layer; got {len(recurrent)}: give"
            " `effective_weights()[i].recurrent`."
        )
    return recurrent[0]


def _only_matrix(weights: nn.Module | Mapping[str, Any]) -> Tensor:
    found = dict(as_they_act(weights))
    if len(found) != 1:
        raise ValueError(
            f"`weights` must hold one matrix; got {', '.join(found) or 'none'}."
        )
    return next(iter(found.values()))


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the only module inside those that hold nothing else.

    Compiled, parallel and averaged models are such wrappers.
    """
    while not module._parameters and len(module._modules) == 1:
        if modules.speaks(module) or is_circuit(module):
            break
        # A layer may hold its weight in a module of its own.
        if modules.method(module, "effective_weight") is not None:
            break
        (module,) = module.children()
    return module
