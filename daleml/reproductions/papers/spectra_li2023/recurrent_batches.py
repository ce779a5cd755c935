r"""Recurrent networks of one size, lawful or not, trained as one batch with the same examples.

.. math:: h_t = \max(0,\; U u_t + b + W h_{t-1}), \qquad y_t = V h_t + c

Each network learns as if it were alone. There is one bias per unit, as in the authors' code: the
two of ``nn.RNN`` add up, and their sum would learn at twice the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.experiments._ensemble.fused_members import Recurrence, fused_members
from daleml.optim import param_groups
from daleml.reproductions.digit_networks import CLIP_NORM

FLOOR = 1e-9
"""What a synapse is put to whose sign is kept and would change, as in the authors' code."""

_RECTIFIED = Recurrence("relu", keep=None)
_PATHS = ("ih", "hh", "readout")
# A Dale's ANN has three matrices for each path, of which its weight is composed.
_PARTS = ("ex", "ix", "ei")


@dataclass(frozen=True)
class RecurrentArm:
    """One kind of recurrent network, and how it learns.

    Attributes:
        name: Short, for the names of numbers.
        build: Makes the network, which has an ``rnn`` and a ``readout``. Signs that it fixes
            are kept.
        each_sign: Whether every recurrent and every readout synapse keeps its sign, while input
            synapses are free.
        clip_each: Whether the gradient of each tensor is limited by itself, instead of that of
            each layer.
        clip_norm: The largest norm of a gradient.
        lr_factor: Factor on the learning rate.
    """

    name: str
    build: Callable[..., nn.Module]
    each_sign: bool = False
    clip_each: bool = False
    clip_norm: float = CLIP_NORM
    lr_factor: float = 1.0


class RecurrentBatch:
    """Networks that are trained as one batch.

    Args:
        arms: What kind of network each one is.
        models: The networks themselves, which are only read.
    """

    def __init__(
        self, arms: Sequence[RecurrentArm], models: Sequence[nn.Module]
    ) -> None:
        pairs = list(zip(arms, models, strict=True))
        composed = [pair for pair in pairs if _is_composed(pair[1])]
        plain = [pair for pair in pairs if not _is_composed(pair[1])]
        forms = [(plain, ("",)), (composed, _PARTS)]
        self._forms = [_Form(of_form, parts) for of_form, parts in forms if of_form]

    @property
    def names(self) -> list[str]:
        """The arms' names, in the order in which activity and answers are given."""
        return [name for form in self._forms for name in form.names]

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Run all networks.

        Args:
            inputs: What every network reads, (steps, batch, inputs).

        Returns:
            Their rates, (steps, networks, batch, units), and those of the last step by
            themselves, through which gradients flow faster.
        """
        weight_ih, weight_hh = self._weight("ih"), self._weight("hh")
        bias = torch.cat([form.tensors["rnn.bias"] for form in self._forms])
        # The bias is the weight of an input that is always 1.
        weight_ih = torch.cat([weight_ih, bias[..., None]], dim=2)
        read = nn.functional.pad(inputs, (0, 1), value=1.0)
        start = inputs.new_zeros(len(self), inputs.shape[1], weight_hh.shape[1])
        return fused_members(read, weight_ih, weight_hh, start, None, _RECTIFIED)

    def answers(self, rates: Tensor) -> Tensor:
        """Return what the readouts make of rates.

        Args:
            rates: Of one step, (networks, batch, units).

        Returns:
            Answers, (networks, batch, outputs).
        """
        bias = torch.cat([form.tensors["readout.bias"] for form in self._forms])
        return torch.baddbmm(bias[:, None], rates, self._weight("readout").mT)

    def step(self, losses: Tensor, lr: float) -> None:
        """Let every network take a step down its own loss, and keep the signs that it keeps.

        Args:
            losses: One for each network.
            lr: The learning rate, before the factors of the arms. Those of a Dale's ANN's
                interneurons are smaller, as its layers declare.
        """
        for form in self._forms:
            form.zero_grad()
        # Each network's gradient is its own: no other loss depends on its weights.
        losses.sum().backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for form in self._forms:
                form.scale_grads_()
                form.descend_(lr)
                form.keep_signs_()

    def state(self, name: str) -> dict[str, Tensor]:
        """Return copies of the tensors of one network, by their names in its model.

        Args:
            name: The name of its arm.
        """
        form = next(form for form in self._forms if name in form.names)
        k = form.names.index(name)
        return {key: one[k].detach().clone() for key, one in form.tensors.items()}

    def _weight(self, path: str) -> Tensor:
        return torch.cat([form.weight(path) for form in self._forms])


class _Form:
    """Networks whose weights have the same parts."""

    def __init__(
        self,
        pairs: Sequence[tuple[RecurrentArm, nn.Module]],
        parts: Sequence[str],
    ) -> None:
        arms, models = zip(*pairs, strict=True)
        self.names = [arm.name for arm in arms]
        self._parts = parts
        self._each = torch.tensor([arm.clip_each for arm in arms])
        like = models[0].get_parameter("readout.bias").detach()
        self._clip_norm = like.new_tensor([arm.clip_norm for arm in arms])
        self._lr_factor = like.new_tensor([arm.lr_factor for arm in arms])
        scale = _lr_scales(models[0])
        self.tensors: dict[str, Tensor] = {}
        self._scale: dict[str, float] = {}
        for path in _PATHS:
            for part in parts:
                name = _name(path, part)
                found = [model.get_parameter(name).detach() for model in models]
                self.tensors[name] = torch.stack(found)
                self._scale[name] = scale[name]
        units = [
            model.get_parameter("rnn.bias_ih_l0").detach()
            + model.get_parameter("rnn.bias_hh_l0").detach()
            for model in models
        ]
        outputs = [model.get_parameter("readout.bias").detach() for model in models]
        self.tensors["rnn.bias"] = torch.stack(units)
        self.tensors["readout.bias"] = torch.stack(outputs)
        self._kept = list(_kept(pairs, self.tensors))
        for tensor in self.tensors.values():
            tensor.requires_grad_()

    def weight(self, path: str) -> Tensor:
        """Return the weights of a path, (networks, units, inputs)."""
        parts = [self.tensors[_name(path, part)] for part in self._parts]
        if len(parts) == 1:
            return parts[0]
        excitatory, to_interneurons, from_interneurons = parts
        return torch.baddbmm(excitatory, from_interneurons, to_interneurons, alpha=-1.0)

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for tensor in self.tensors.values():
            tensor.grad = None

    def scale_grads_(self) -> None:
        """Limit the norms of gradients, of each layer or tensor, and apply the arms' factors."""
        for kept in self._kept:
            if kept.has_gaps:
                # Synapses that do not exist have no gradient.
                _grad(self.tensors[kept.name])[kept.rows] *= kept.sign.abs()
        for layer in ("rnn.", "readout."):
            grads = [
                _grad(tensor)
                for name, tensor in self.tensors.items()
                if name.startswith(layer)
            ]
            squares = torch.stack([one.flatten(1).square().sum(1) for one in grads])
            whole = squares.sum(0).expand_as(squares)
            norms = torch.where(self._each, squares, whole).sqrt()
            # As torch's clip_grad_norm_ does it.
            factors = (self._clip_norm / (norms + 1e-6)).clamp(max=1.0)
            factors *= self._lr_factor
            for grad, factor in zip(grads, factors, strict=True):
                grad.mul_(factor.view(-1, *[1] * (grad.ndim - 1)))

    def descend_(self, lr: float) -> None:
        """Take a step of gradient descent."""
        for name, tensor in self.tensors.items():
            tensor.sub_(_grad(tensor), alpha=lr * self._scale.get(name, 1.0))

    def keep_signs_(self) -> None:
        """Put every synapse to its floor that has lost the sign which it keeps."""
        for kept in self._kept:
            tensor = self.tensors[kept.name]
            along_sign = tensor[kept.rows] * kept.sign
            # Where no synapse is, the sign is 0, and so is the product.
            tensor[kept.rows] = along_sign.clamp(min=kept.floor) * kept.sign


@dataclass(frozen=True)
class _Kept:
    """The signs of a tensor in some networks.

    Attributes:
        name: The tensor.
        rows: Which networks.
        sign: +1 or -1 for each of their synapses; 0 where there is none.
        floor: The smallest magnitude.
        has_gaps: Whether there are pairs of units without a synapse.
    """

    name: str
    rows: Tensor
    sign: Tensor
    floor: float
    has_gaps: bool


def _kept(
    pairs: Sequence[tuple[RecurrentArm, nn.Module]], tensors: dict[str, Tensor]
) -> Iterator[_Kept]:
    """Yield the signs that are kept, of lawful networks and of those that keep each one."""
    by_law: dict[str, dict[int, Tensor]] = {}
    by_synapse: dict[str, dict[int, Tensor]] = {}
    for k, (arm, model) in enumerate(pairs):
        for name, weight, sign in signs.named(model):
            # A synapse that a mask leaves out is exactly 0 from the beginning.
            exists = weight.detach() != 0
            by_law.setdefault(name, {})[k] = sign.to(weight) * exists
        if arm.each_sign:
            for name in (_name("hh", ""), _name("readout", "")):
                by_synapse.setdefault(name, {})[k] = tensors[name][k].sign()
    for found, floor in ((by_law, 0.0), (by_synapse, FLOOR)):
        for name, of_network in found.items():
            sign = torch.stack(list(of_network.values()))
            rows, gaps = torch.tensor(list(of_network)), bool((sign == 0).any())
            yield _Kept(name, rows, sign, floor, gaps)


def _name(path: str, part: str) -> str:
    """Return the name of a matrix in a model."""
    infix = f"_{part}" if part else ""
    if path == "readout":
        return f"readout.weight{infix}"
    return f"rnn.weight{infix}_{path}_l0"


def _is_composed(model: nn.Module) -> bool:
    names = {name for name, _ in model.named_parameters()}
    return _name("hh", "ex") in names


def _lr_scales(model: nn.Module) -> dict[str, float]:
    """Return the factor on the learning rate that a model declares, for each parameter."""
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        name_of[id(parameter)]: float(group["lr"])
        for group in param_groups(model, lr=1.0)
        for parameter in group["params"]
    }


def _grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None  # every tensor takes part in the loss
    return tensor.grad
