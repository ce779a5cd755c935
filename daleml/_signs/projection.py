"""Projection of weights onto the law: one at a time, or all of a model with what is cached of it.

``signs.project_`` reads every fact anew. A guard projects after each step of an optimiser, where
reading facts would cost more than the projection, so it keeps what it has read for as long as
nothing that it was read from has changed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from daleml import law
from daleml._signs import facts, scaled_learning, verification
from daleml._signs.shard_projection import ShardedWeight, sharded_weight
from daleml._support import stacked_models
from daleml._support.sharded_tensors import is_sharded, reshard
from daleml.law import DaleError


def project_one(one: verification.Fixed) -> None:
    r"""Project one weight, in place: :math:`w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)`.

    Raises:
        DaleError: If it breaks the law and is computed by a parametrisation.
        ValueError: If it is sparse.
    """
    weight = one.weight
    if not isinstance(weight, nn.Parameter):
        if law.violations(one.name, weight, one.signs, one.present, one.fixed):
            raise DaleError(
                f"`{one.name}` is reparametrised and breaks Dale's law, and only a"
                " parameter can be projected."
            )
        return
    if weight.layout != torch.strided:
        kind = str(weight.layout).removeprefix("torch.")
        raise ValueError(
            f"`{one.name}` must be dense to be projected; got {kind}: make it so by"
            " `.to_dense()`."
        )
    if is_sharded(weight):
        bounds = _bounds(one.signs, weight)
        sharded_weight(weight, bounds, one.present, one.fixed).project_()
        return
    common = _common_sign(one.signs)
    if common > 0:
        weight.clamp_(min=0)
    elif common < 0:
        weight.clamp_(max=0)
    else:
        low, high = _bounds(one.signs, weight)
        weight.clamp_(min=low, max=high)
    if one.present is not None:
        weight.masked_fill_(~one.present, 0)
    if one.fixed is not None:
        which, strengths = one.fixed
        weight.copy_(torch.where(which, strengths.to(weight), weight))


def _common_sign(stored: Tensor) -> int:
    """Return the sign that all presynaptic units share; 0 if they share none."""
    if bool((stored == 1).all()):
        return 1
    if bool((stored == -1).all()):
        return -1
    return 0


def _bounds(stored: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest lawful value of each synapse, to broadcast."""
    sign = law.broadcastable(stored, weight)
    zeros = torch.zeros(sign.shape, dtype=weight.dtype, device=weight.device)
    # A unit without a sign has no bound.
    low = zeros.masked_fill(sign <= 0, -torch.inf)
    high = zeros.masked_fill_(sign >= 0, torch.inf)
    return low, high


class Guard:
    """A projection of one model that is repeated, and reads facts only when they have changed.

    Weights of one sign are clamped together, as lists. The bounds of mixed ones and the absent
    synapses of masked ones are kept in the weight's dtype and on its device; a masked weight
    costs one byte per synapse for that. Where something may change unseen (weights that are
    computed or pruned, buffers whose writes torch does not count), all is read anew each time.

    A copy or a pickle of a guard takes the model along, and reads the facts of the copy.

    Args:
        model: The model to project.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._began_sharded = any(map(is_sharded, model.parameters()))
        self._forget()

    def __reduce__(self) -> tuple[type[Guard], tuple[nn.Module]]:
        return type(self), (self.model,)

    def project_(self) -> None:
        """Move every weight of the model to the nearest lawful one, in place.

        Raises:
            AttributeError: If a parameter whose signs were fixed is gone.
            DaleError: If a weight that breaks the law is computed by a parametrisation.
            ValueError: If a buffer of signs or a mask does not hold what was fixed, or a weight
                is sparse.
        """
        with torch.no_grad():
            if not self._is_current():
                reshard(self.model)
            if not self._is_current():
                self._read()
            for weights in self._excitatory.values():
                torch._foreach_clamp_min_(weights, 0.0)
            for weights in self._inhibitory.values():
                torch._foreach_clamp_max_(weights, 0.0)
            for weight, low, high in self._mixed:
                weight.clamp_(min=low, max=high)
            for weight, absent in self._absent:
                weight.masked_fill_(absent, 0)
            for weight, which, strengths in self._fixed:
                weight.copy_(torch.where(which, strengths, weight))
            for sharded in self._sharded:
                sharded.project_()
            for path, module in self._unseen:
                for one in verification.fixed_in(module, path, quickly=True):
                    project_one(one)

    def has_scaled(self) -> bool:
        """Whether synapses of the model learn by factors."""
        # Looked for only where something was said since the last projection, since it runs
        # before each step.
        if self._n_changes != facts.n_changes():
            self._some_scaled = any(map(facts.learning, self.model.modules()))
        return self._some_scaled

    def remember(self, trained: Collection[int]) -> list[scaled_learning.Before]:
        """Return the weights that learn by factors as they are before a step.

        Args:
            trained: The identities of the parameters that the step may change.
        """
        trained = stacked_models.with_slices(self.model, set(trained))
        return scaled_learning.remembered(self.model, trained)

    def _forget(self) -> None:
        self._n_changes = -1
        self._some_scaled = False
        self._modules: list[nn.Module] = []
        self._identities: list[int] = []
        self._n_buffers: list[int] = []
        self._weights: list[tuple[nn.Module, str, Tensor]] = []
        self._buffers: list[tuple[nn.Module, str, Tensor, int, int]] = []
        self._excitatory: dict[tuple[Any, ...], list[Tensor]] = {}
        self._inhibitory: dict[tuple[Any, ...], list[Tensor]] = {}
        self._mixed: list[tuple[Tensor, Tensor, Tensor]] = []
        self._absent: list[tuple[Tensor, Tensor]] = []
        self._fixed: list[tuple[Tensor, Tensor, Tensor]] = []
        self._sharded: list[ShardedWeight] = []
        self._unseen: list[tuple[str, nn.Module]] = []

    def _is_current(self) -> bool:
        """Whether what was read of the model still holds.

        Written for speed, since it runs after each step: loops over tuples, and no calls.
        """
        if self._n_changes != facts.n_changes():
            return False
        # A submodule was added, replaced or removed. Modules are compared by identity: a
        # stranger's class may define what equality means.
        modules = _all_modules(self.model)
        if list(map(id, modules)) != self._identities:
            return False
        # A mask, or signs of a module that declares nothing, were registered by hand.
        if [len(module._buffers) for module in modules] != self._n_buffers:
            return False
        # A parameter was replaced, pruned, parametrised or deleted.
        for module, name, weight in self._weights:
            if module._parameters.get(name) is not weight:
                return False
        # A buffer was replaced, deleted or written into. Torch does not count writes through
        # ``.data``: those are found by `signs.check` and `signs.project_` only.
        for module, name, buffer, address, n_writes in self._buffers:
            if module._buffers.get(name) is not buffer:
                return False
            if buffer._version != n_writes or buffer.data_ptr() != address:
                return False
        # A parameter was cast or moved, and is still the same object.
        for weight, low, _ in self._mixed:
            if weight.dtype is not low.dtype or weight.device != low.device:
                return False
        for weight, which, strengths in self._fixed:
            if weight.dtype is not strengths.dtype or weight.device != which.device:
                return False
        if not all(sharded.is_current() for sharded in self._sharded):
            return False
        return all(weight.device == absent.device for weight, absent in self._absent)

    def _read(self) -> None:
        """Read every fact of the model, and cache what a projection needs of it."""
        self._forget()
        for path, module in self.model.named_modules():
            fixed = list(verification.fixed_in(module, path, quickly=True))
            if all(_is_watchable(one) for one in fixed):
                for one in fixed:
                    self._cache(one)
            else:
                self._unseen.append((path, module))
        # Last, so that a model that is refused is read again at the next step.
        self._modules = _all_modules(self.model)
        self._some_scaled = any(map(facts.learning, self._modules))
        self._identities = [id(module) for module in self._modules]
        self._n_buffers = [len(module._buffers) for module in self._modules]
        self._n_changes = facts.n_changes()

    def _cache(self, one: verification.Fixed) -> None:
        weight = one.weight
        self._weights.append((one.module, one.own, weight))
        for suffix in law.BUFFERS:
            name = one.own + suffix
            buffer = one.module._buffers.get(name)
            if buffer is not None:
                stamp = (buffer.data_ptr(), buffer._version)
                self._buffers.append((one.module, name, buffer, *stamp))
        if is_sharded(weight):
            if not self._began_sharded:
                raise ValueError(
                    f"`{one.name}` must be sharded before its optimiser is built and guarded;"
                    " `fully_shard` replaced it since, and the optimiser trains what it was:"
                    " build both anew."
                )
            bounds = _bounds(one.signs, weight)
            self._sharded.append(sharded_weight(weight, bounds, one.present, one.fixed))
            return
        # One list per dtype and device, which is what the kernels over lists on a GPU ask for. A
        # weight that is cast or moved later stays in its list, and is clamped there all the same.
        kind = (weight.dtype, weight.device)
        common = _common_sign(one.signs)
        if common > 0:
            self._excitatory.setdefault(kind, []).append(weight)
        elif common < 0:
            self._inhibitory.setdefault(kind, []).append(weight)
        else:
            self._mixed.append((weight, *_bounds(one.signs, weight)))
        if one.present is not None:
            self._absent.append((weight, ~one.present))
        if one.fixed is not None:
            which, strengths = one.fixed
            self._fixed.append((weight, which, strengths.to(weight)))


def _all_modules(model: nn.Module) -> list[nn.Module]:
    """Return every module of a model once, without the names that ``named_modules`` composes."""
    found = {id(model): model}
    waiting = [model]
    for module in waiting:
        for child in module._modules.values():
            if child is not None and id(child) not in found:
                found[id(child)] = child
                waiting.append(child)
    return waiting


def _is_watchable(one: verification.Fixed) -> bool:
    """Whether whatever changes the facts of a weight is seen by a guard."""
    parameters = one.module._parameters
    # The parameters of TorchScript modules are no dictionary, and a new object at each look.
    if not isinstance(parameters, dict) or parameters.get(one.own) is not one.weight:
        return False
    if one.weight.layout != torch.strided:
        return False
    # Signs registered by hand beside a parameter are believed only as long as they fit it.
    if one.own not in facts.declarations(one.module):
        return False
    buffers = one.module._buffers
    return verification.are_counted(buffers.get(one.own + name) for name in law.BUFFERS)
