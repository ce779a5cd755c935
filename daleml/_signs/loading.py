"""What a checkpoint may do to facts.

It is judged before a value of it is copied in, and facts are adopted if asked.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from daleml import law
from daleml._signs import facts, parameter_lookup, verification


@dataclass(frozen=True)
class Wish:
    """What was asked for, by name, of the checkpoints that a module reads."""

    adopt_signs: bool = False
    adopt_masks: bool = False
    keep_masks: bool = False


_wishes: weakref.WeakKeyDictionary[nn.Module, Wish] = weakref.WeakKeyDictionary()


@contextmanager
def _wishing(model: nn.Module, **wish: bool) -> Iterator[None]:
    """Let every module of a model read checkpoints by a wish, as long as the context lasts."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    before = {module: _wishes.get(module) for module in model.modules()}
    for module, earlier in before.items():
        _wishes[module] = replace(earlier or Wish(), **wish)
    try:
        yield
    finally:
        for module, earlier in before.items():
            if earlier is None:
                _wishes.pop(module, None)
            else:
                _wishes[module] = earlier


def adopt_signs(model: nn.Module) -> AbstractContextManager[None]:
    """Let checkpoints that are read inside the context bring their own signs, in place of those of the model.

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
    return _wishing(model, adopt_signs=True)


def adopt_masks(model: nn.Module) -> AbstractContextManager[None]:
    """Let a checkpoint that is loaded inside the context replace the model's masks by its own.

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
    return _wishing(model, adopt_masks=True)


def keep_masks(model: nn.Module) -> AbstractContextManager[None]:
    """Let checkpoints that are read inside the context lose the synapses that the model has not.

    They are set to zero.

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
    return _wishing(model, keep_masks=True)


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
    """Refuse lawless values before they are copied in.

    Torch raises ``errors`` when it has read the rest.
    """
    wish = _wishes.get(module, Wish())
    for name, declaration in list(facts.declarations(module).items()):
        if declaration.signed:
            _Reading(module, state, prefix, name, wish, errors).run()


@dataclass
class _Reading:
    """One parameter of a checkpoint as it is read."""

    module: nn.Module
    state: dict[str, Any]
    prefix: str
    name: str
    wish: Wish
    errors: list[str]

    def run(self) -> None:
        """Settle the signs, then the mask, then judge the weight by them.

        Refuse all three or take all three.
        """
        n_errors = len(self.errors)
        signs, present = self._signs(), self._present()
        if len(self.errors) == n_errors and signs is not None:
            self._judge(signs, present)
        if len(self.errors) > n_errors:
            self._put_back()
        elif signs is not None and not signs.is_meta:
            self._adopt(signs, present)

    def _judge(self, signs: Tensor, present: Tensor | None) -> None:
        actual, weight = parameter_lookup.resolve(self.module, self.name)
        incoming = self.state.get(self.prefix + actual)
        if (
            not isinstance(incoming, Tensor)
            or incoming.shape != weight.shape
            or incoming.is_meta
            or signs.is_meta
        ):
            # torch reports missing keys and wrong shapes itself; there is nothing to judge on
            # meta
            return
        exists = (
            None
            if present is None or present.is_meta
            else present.to(incoming.device) != 0
        )
        if self.wish.keep_masks and exists is not None:
            incoming = incoming.masked_fill(~exists, 0)
            self.state[self.prefix + actual] = incoming
        violations = law.violations(
            self.prefix + actual, incoming, signs.to(incoming.device), exists
        )
        if violations:
            self._refuse(violations, incoming, exists)

    def _put_back(self) -> None:
        """Let torch read the module's own values, where it goes on reading after an error."""
        for suffix in (law.SUFFIX, law.PRESENT):
            key, own = (
                self.prefix + self.name + suffix,
                self.module._buffers.get(self.name + suffix),
            )
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
        unknown = signs.is_meta or not bool(
            (signs.abs() == 1).all()
        )  # as after `to_empty`
        if kept is not None and not unknown:
            unknown = not torch.equal(signs.to("cpu", torch.int8), kept.sign_tensor())
        if saved is None:  # a checkpoint of the plain module
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
        nothing_fixed = kept is None and unknown
        if not nothing_fixed and not self.wish.adopt_signs:
            expected = signs if kept is None else kept.sign_tensor()
            differing = (
                (saved.cpu() != expected.cpu()).flatten().nonzero().flatten().tolist()
            )
            if differing:
                self.errors.append(
                    f"{key}: the signs of {len(differing)} units, the first of them unit"
                    f" {differing[0]}, differ from those fixed on the module; load inside"
                    " `with signs.adopt_signs(model):` to take the checkpoint's."
                )
                self._judge(expected, None)  # and what that does to the law here
                return None
        self.state[key] = saved
        return saved

    def _present(self) -> Tensor | None:
        """Return the mask that the module has after loading, int8; None if all synapses exist."""
        key = self.prefix + self.name + law.PRESENT
        kept = facts.record(self.module, self.name)
        present = self.module._buffers.get(self.name + law.PRESENT)
        expected = present if kept is None or kept.mask is None else kept.mask_tensor()
        saved = self.state.get(key)
        if expected is None and saved is None:
            return None
        weight = parameter_lookup.resolve(self.module, self.name)[1]
        if saved is None or self.wish.keep_masks:
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
            return expected  # torch says what is wrong with it
        try:
            saved = law.valid_present(self.prefix + self.name, saved).to(torch.int8)
        except ValueError as error:
            self.errors.append(str(error))
            return expected
        if not self.wish.adopt_masks and not self._is_another_draw(
            saved, expected, kept
        ):
            said = _difference(saved, expected)
            if said:
                self.errors.append(
                    f"{key}: {said}; load inside `with signs.adopt_masks(model):` to take"
                    " the checkpoint's synapses, or `with signs.keep_masks(model):` to"
                    " keep the module's and zero the others."
                )
                return expected
        if expected is None and bool(saved.all()):
            self.state.pop(key)
            return None
        self.state[key] = saved
        return saved

    @staticmethod
    def _is_another_draw(
        saved: Tensor, expected: Tensor | None, kept: facts.Record | None
    ) -> bool:
        if kept is None or expected is None:
            return False
        return verification.is_another_draw(saved, expected, drawn=kept.drawn)

    def _adopt(self, signs: Tensor, present: Tensor | None) -> None:
        """Make what the checkpoint brings the module's own, before torch copies it into the buffers."""
        kept = facts.record(self.module, self.name)
        adopted = facts.make_record(
            signs, present, drawn=kept is not None and kept.drawn
        )
        if adopted != kept:
            device = parameter_lookup.resolve(self.module, self.name)[1].device
            facts.keep(self.module, self.name, adopted, device)

    def _refuse(
        self, violations: list[law.Violation], incoming: Tensor, exists: Tensor | None
    ) -> None:
        own = self.prefix + self.name
        n_autapses = _autapses_only(incoming, exists)
        if n_autapses:
            violations = [violation for violation in violations if not violation.absent]
            self.errors.append(
                f"Dale's law is broken: {own} has {n_autapses} autapses, weights on the"
                " diagonal, where the module has no synapse: build it with"
                " `autapses=True`, or load inside `with signs.keep_masks(model):` to zero"
                " them."
            )
        self.errors.extend(
            f"Dale's law is broken: {violation}."
            for violation in violations[: law.SHOWN]
        )
        hidden = len(violations) - law.SHOWN
        if hidden > 0:
            self.errors.append(f"Dale's law is broken by {hidden} more units of {own}.")
        if any(violation.absent for violation in violations):
            self.errors.append(
                f"To zero the weights of {own} where the module has no synapse, load inside"
                " `with signs.keep_masks(model):`."
            )


def _autapses_only(incoming: Tensor, exists: Tensor | None) -> int:
    """Count the weights on the diagonal, if those are all that the module has no synapse for."""
    if exists is None or exists.ndim != 2 or exists.shape[0] != exists.shape[1]:
        return 0
    grown = (incoming != 0) & ~exists
    on_diagonal = int(grown.diagonal().sum())
    return on_diagonal if on_diagonal == int(grown.sum()) else 0


def _difference(saved: Tensor, expected: Tensor | None) -> str:
    """Say how a saved mask differs from the module's; nothing if it does not."""
    if expected is None:
        absent = int((saved == 0).sum())
        return (
            f"the checkpoint has {absent} absent synapses, the module none"
            if absent
            else ""
        )
    here = expected.to(saved.device) != 0
    there = saved != 0
    more, fewer = int((there & ~here).sum()), int((here & ~there).sum())
    if not more and not fewer:
        return ""
    return (
        f"of the checkpoint's synapses {more} are absent in the module, and of the module's"
        f" {fewer} in the checkpoint"
    )
