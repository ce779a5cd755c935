"""Judgement of checkpoints before a value of them is copied in; facts are adopted if asked."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from daleml import _sparse_weights, law
from daleml._signs import facts, loading_fixed, loading_sparse, parameter_lookup
from daleml._signs.drawn_masks import is_another_draw
from daleml._signs.fixed_synapses import FixedSynapses
from daleml._signs.mask_differences import difference_of, n_autapses_only
from daleml._support.sharded_tensors import is_sharded, spread, whole


@dataclass(frozen=True)
class LoadingRules:
    """What was asked for, by name, of the checkpoints that a module reads."""

    adopt_signs: bool = False
    adopt_masks: bool = False
    keep_masks: bool = False


_rules: weakref.WeakKeyDictionary[nn.Module, LoadingRules] = weakref.WeakKeyDictionary()


@contextmanager
def _loading_by(model: nn.Module, **rules: bool) -> Iterator[None]:
    """Let every module of a model read checkpoints by some rules, while the context lasts."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    # By module, since torch calls the hook of each module apart. Contexts may be nested.
    before = {module: _rules.get(module) for module in model.modules()}
    for module, earlier in before.items():
        _rules[module] = replace(earlier or LoadingRules(), **rules)
    try:
        yield
    finally:
        for module, earlier in before.items():
            if earlier is None:
                _rules.pop(module, None)
            else:
                _rules[module] = earlier


def adopt_signs(model: nn.Module) -> AbstractContextManager[None]:
    """Let checkpoints that are read inside the context replace the model's signs by their own.

    Args:
        model: The model that reads them.

    Returns:
        A context manager.

    Raises:
        TypeError: If ``model`` is no module.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> trained, layer = EILinear(Populations(1, 2), 4), EILinear(Populations(2, 1), 4)
        >>> with signs.adopt_signs(layer):
        ...     layer.load_state_dict(trained.state_dict())
        <All keys matched successfully>
        >>> layer.weight_signs.tolist()
        [1, -1, -1]
    """
    return _loading_by(model, adopt_signs=True)


def adopt_masks(model: nn.Module) -> AbstractContextManager[None]:
    """Let checkpoints that are read inside the context replace the model's masks by their own.

    Likewise which synapses are fixed, and at which strengths.

    Args:
        model: The model that reads them.

    Returns:
        A context manager.

    Raises:
        TypeError: If ``model`` is no module.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EIRNN
        >>> trained = EIRNN(3, Populations(8, 2))
        >>> circuit = EIRNN(3, Populations(8, 2), mask=torch.ones(10, 10).tril(-1))
        >>> with signs.adopt_masks(circuit):
        ...     circuit.load_state_dict(trained.state_dict())
        <All keys matched successfully>
        >>> int(circuit.weight_hh_l0_present.sum())
        90
    """
    return _loading_by(model, adopt_masks=True)


def keep_masks(model: nn.Module) -> AbstractContextManager[None]:
    """Let checkpoints that are read inside the context lose the synapses that the model has not.

    Their weights are set to zero, and synapses that the model has fixed get its strengths.

    Args:
        model: The model that reads them.

    Returns:
        A context manager.

    Raises:
        TypeError: If ``model`` is no module.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EIRNN
        >>> trained = EIRNN(3, Populations(8, 2))
        >>> lesioned = EIRNN(3, Populations(8, 2), mask=torch.ones(10, 10).tril(-1))
        >>> with signs.keep_masks(lesioned):
        ...     lesioned.load_state_dict(trained.state_dict())
        <All keys matched successfully>
        >>> int(lesioned.weight_hh_l0_present.sum())
        45
    """
    return _loading_by(model, keep_masks=True)


def judge_checkpoint(
    module: nn.Module,
    state: dict[str, Any],
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Refuse lawless values before they are copied in: the hook that torch calls per module.

    Torch raises ``errors`` when it has read the rest.
    """
    rules = _rules.get(module, LoadingRules())
    for name, declaration in list(facts.declarations(module).items()):
        if declaration.signed:
            _Reading(module, state, prefix, name, rules, errors).run()


@dataclass
class _Reading:
    """One parameter of a checkpoint as it is read."""

    module: nn.Module
    state: dict[str, Any]
    prefix: str
    name: str
    rules: LoadingRules
    errors: list[str]

    def run(self) -> None:
        """Settle the signs, then the mask, then judge the weight: take all three, or none.

        A sharded weight is judged whole.
        """
        actual, _ = parameter_lookup.resolve(self.module, self.name)
        key = self.prefix + actual
        sharded = self.state.get(key)
        if not is_sharded(sharded):
            self._settle()
            return
        gathered = self.state[key] = whole(cast("Tensor", sharded))
        self._settle()
        left = self.state[key]
        if left is gathered:
            self.state[key] = sharded
        elif not is_sharded(left):
            self.state[key] = spread(left, cast("Tensor", sharded))

    def _settle(self) -> None:
        n_errors = len(self.errors)
        if not loading_sparse.settle(self._incoming()):
            self._put_back()
            return
        signs = self._signs()
        present = self._present()
        fixed = None
        if len(self.errors) == n_errors:
            fixed = self._fixed(present)
        if len(self.errors) == n_errors and signs is not None:
            self._judge(signs, present, fixed)
        # After an error torch still copies what it finds in the state dict.
        if len(self.errors) > n_errors:
            self._put_back()
        elif signs is not None and not signs.is_meta:
            self._adopt(signs, present, fixed)

    def _fixed(self, present: Tensor | None) -> FixedSynapses | None:
        """Return what is fixed after loading; None if nothing is."""
        return loading_fixed.settle(self._incoming(), present)

    def _incoming(self) -> loading_fixed.Incoming:
        adopt, keep = self.rules.adopt_masks, self.rules.keep_masks
        return loading_fixed.Incoming(
            self.module, self.name, self.state, self.prefix, self.errors, adopt, keep
        )

    def _judge(
        self,
        signs: Tensor,
        present: Tensor | None,
        fixed: FixedSynapses | None = None,
    ) -> None:
        """Refuse the checkpoint's weight if it breaks the law by these signs and this mask."""
        actual, weight = parameter_lookup.resolve(self.module, self.name)
        incoming = self.state.get(self.prefix + actual)
        # torch itself reports missing keys and wrong shapes.
        if not isinstance(incoming, Tensor) or incoming.shape != weight.shape:
            return
        # On the meta device there is nothing to judge.
        if incoming.is_meta or signs.is_meta:
            return
        exists = None
        if present is not None and not present.is_meta:
            exists = present.to(incoming.device) != 0
        if self.rules.keep_masks and exists is not None:
            incoming = incoming.masked_fill(~exists, 0)
            self.state[self.prefix + actual] = incoming
        stored = signs.to(incoming.device)
        at = None
        mask = None if exists is None else exists.cpu()
        values = None if fixed is None else fixed.values(mask)
        if fixed is not None and values is not None:
            which = fixed.which(mask) != 0
            at = which.to(incoming.device), values.to(incoming)
        pattern = _sparse_weights.recorded_pattern(self.module, self.name)
        name = self.prefix + actual
        violations = law.violations(name, incoming, stored, exists, at, pattern)
        if violations:
            self._refuse(violations, incoming, exists)

    def _put_back(self) -> None:
        """Let torch read the module's own values, where it goes on reading after an error."""
        for suffix in law.BUFFERS:
            key = self.prefix + self.name + suffix
            own = self.module._buffers.get(self.name + suffix)
            if own is not None:
                self.state[key] = own
            else:
                self.state.pop(key, None)
        actual, weight = parameter_lookup.resolve(self.module, self.name)
        incoming = self.state.get(self.prefix + actual)
        if isinstance(incoming, Tensor) and incoming.shape == weight.shape:
            self.state[self.prefix + actual] = weight

    def _signs(self) -> Tensor | None:
        """Return the signs that the module has after loading; None if they are unknown."""
        key = self.prefix + self.name + law.SUFFIX
        signs = self.module._buffers.get(self.name + law.SUFFIX)
        kept = facts.record(self.module, self.name)
        saved = self.state.get(key)
        if signs is None:
            self.errors.append(
                f"{key}: the module's signs are gone; call `signs.restore_` first."
            )
            return None
        unknown = facts.hold_nothing(signs, kept)
        if saved is None:
            # A checkpoint of the plain module: it is judged by the signs fixed here.
            self.state[key] = signs
            if unknown:
                self.errors.append(
                    f"{key}: neither the module nor the checkpoint has signs; call"
                    " `signs.fix` first."
                )
                return None
            return signs
        if not isinstance(saved, Tensor) or saved.shape != signs.shape or saved.is_meta:
            return None if unknown else signs
        try:
            saved = law.valid_signs(self.prefix + self.name, saved).clone()
        except ValueError as error:
            self.errors.append(str(error))
            return None
        # A module of an older version, whose buffers were emptied: there is nothing to defend.
        nothing_fixed = kept is None and unknown
        if not nothing_fixed and not self.rules.adopt_signs:
            expected = signs if kept is None else kept.sign_tensor()
            if self._refuse_signs(saved, expected):
                return None
        self.state[key] = saved
        return saved

    def _refuse_signs(self, saved: Tensor, expected: Tensor) -> bool:
        """Refuse signs that differ from those fixed on the module, and say whether they do."""
        differ = (saved.cpu() != expected.cpu()).flatten()
        units = _sparse_weights.units_of(self.module, self.name, differ)
        if not units:
            return False
        self.errors.append(
            f"{self.prefix}{self.name}{law.SUFFIX}: the signs of {len(units)} units, the first"
            f" of them unit {units[0]}, differ from those fixed on the module; load inside"
            " `with signs.adopt_signs(model):` to take the checkpoint's."
        )
        # What the checkpoint's weight does to the law here is said, too.
        self._judge(expected, None)
        return True

    def _present(self) -> Tensor | None:
        """Return the mask that the module has after loading, int8; None if all synapses exist."""
        key = self.prefix + self.name + law.PRESENT
        kept = facts.record(self.module, self.name)
        expected = self.module._buffers.get(self.name + law.PRESENT)
        if kept is not None and kept.mask is not None:
            expected = kept.mask_tensor()
        saved = self.state.get(key)
        if expected is None and saved is None:
            return None
        weight = parameter_lookup.resolve(self.module, self.name)[1]
        if saved is None or self.rules.keep_masks:
            if expected is None:
                self.state.pop(key)
                return None
            self.state[key] = expected
            return expected
        if (
            not isinstance(saved, Tensor)
            or saved.shape != weight.shape
            or saved.is_meta
        ):
            # torch says what is wrong with it
            return expected
        try:
            saved = law.valid_present(self.prefix + self.name, saved).to(torch.int8)
        except ValueError as error:
            self.errors.append(str(error))
            return expected
        drawn = False if kept is None else kept.drawn
        is_draw = expected is not None and is_another_draw(saved, expected, drawn=drawn)
        if not self.rules.adopt_masks and not is_draw:
            difference = difference_of(saved, expected)
            if difference:
                self.errors.append(
                    f"{key}: {difference}; load inside `with signs.adopt_masks(model):` to take"
                    " the checkpoint's synapses, or `with signs.keep_masks(model):` to"
                    " keep the module's and zero the others."
                )
                return expected
        # A mask of ones, where the module has none.
        if expected is None and bool(saved.all()):
            self.state.pop(key)
            return None
        self.state[key] = saved
        return saved

    def _adopt(
        self, signs: Tensor, present: Tensor | None, fixed: FixedSynapses | None
    ) -> None:
        """Make the checkpoint's facts the module's own, before torch copies its buffers."""
        kept = facts.record(self.module, self.name)
        drawn = False if kept is None else kept.drawn
        adopted = facts.make_record(signs, present, drawn=drawn, fixed=fixed)
        if adopted != kept:
            _, weight = parameter_lookup.resolve(self.module, self.name)
            facts.keep(self.module, self.name, adopted, weight)

    def _refuse(
        self, violations: list[law.Violation], incoming: Tensor, exists: Tensor | None
    ) -> None:
        own = self.prefix + self.name
        # The circuits of others often keep autapses, which ours leave out unless told otherwise.
        n_autapses = n_autapses_only(incoming, exists)
        if n_autapses:
            violations = [violation for violation in violations if not violation.absent]
            self.errors.append(
                f"Dale's law is broken: {own} has {n_autapses} autapses, weights on the"
                " diagonal, where the module has no synapse: build it with"
                " `autapses=True`, or load inside `with signs.keep_masks(model):` to zero"
                " them."
            )
        for violation in violations[: law.SHOWN]:
            self.errors.append(f"Dale's law is broken: {violation}.")
        hidden = len(violations) - law.SHOWN
        if hidden > 0:
            self.errors.append(f"Dale's law is broken by {hidden} more units of {own}.")
        if any(violation.absent for violation in violations):
            self.errors.append(
                f"To zero the weights of {own} where the module has no synapse, load inside"
                " `with signs.keep_masks(model):`."
            )
