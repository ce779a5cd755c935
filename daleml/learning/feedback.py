"""Errors carried back by fixed random weights: feedback alignment."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle

from daleml.layers import DANNLinear, EILinear
from daleml.learning.hooks import Hook

_DENSE = (nn.Linear, EILinear, DANNLinear)


def carry_back(x: Tensor, output: Tensor, feedback: Tensor) -> Tensor:
    r"""Return the output of a layer that was shown ``x.detach()``, with :math:`B^\top e` for the gradient of its input.

    Args:
        x: What the layer was shown, before it was detached.
        output: What it answered.
        feedback: :math:`B`.

    Shape:
        ``x`` (*, pre), ``output`` (*, post), ``feedback`` (post, pre) -> (*, post).

    Returns:
        ``output``, plus zero: a difference of equals, only one of which is seen by autograd.
    """
    through = linear(x, feedback)
    return output + (through - through.detach())


class FeedbackAlignment:
    r"""Fixed random feedback in place of the transposed weights, :math:`e_{l-1} = (B_l^\top e_l) \odot f'`.

    Use it as a context manager, or ``attach`` and ``detach``. While attached, the forward pass is as ever, and the
    gradient of each dense layer's parameters that of the error it receives; only what a layer hands back is
    :math:`B^\top e` instead of :math:`W^\top e`. Any optimiser follows.

    Args:
        model: A module with dense layers: ``nn.Linear``, ``EILinear``, ``DANNLinear``.
        generator: Source of randomness; default: torch's global one.

    Attributes:
        feedback: :math:`B` by the layer's name, (post, pre), Glorot-uniform; put others in place to use them. It is no
            part of the model: save it with what you save of the run.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If it has no dense layer.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> alignment = FeedbackAlignment(model, generator=torch.Generator().manual_seed(0))
        >>> x = torch.ones(1, 3, requires_grad=True)
        >>> with alignment:
        ...     model[2](x).sum().backward()
        >>> bool(torch.allclose(x.grad[0], alignment.feedback["2"].sum(dim=0)))
        True

    Notes:
        Feedback weights have signs of both kinds even where the layers keep Dale's law: the law is about the forward
        synapses. A shunting DANN's divisor is left out of what it hands back.

    References:
        Lillicrap et al. 2016 (Nature Communications); Shervani-Tabar & Rosenbaum 2023 (Nature Communications), the
        "fix" option of the code, which draws B as it draws W.
    """

    def __init__(self, model: nn.Module, *, generator: torch.Generator | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        self._layers = {name: module for name, module in model.named_modules() if isinstance(module, _DENSE)}
        if not self._layers:
            raise ValueError(f"`model` must have a dense layer; got {type(model).__name__} without one.")
        self.feedback = {name: _glorot(layer, generator) for name, layer in self._layers.items()}
        self._handles: list[RemovableHandle] = []

    @property
    def attached(self) -> bool:
        """Whether errors are carried back by the fixed weights."""
        return bool(self._handles)

    def attach(self) -> Self:
        """Carry errors back by the fixed weights from now on.

        Raises:
            RuntimeError: If it is attached already.
        """
        if self.attached:
            raise RuntimeError("`attach` must be called once until `detach`; it is attached already.")
        for name, layer in self._layers.items():
            before, after = self._hooks(name)
            self._handles.append(layer.register_forward_pre_hook(Hook(before), with_kwargs=True))
            self._handles.append(layer.register_forward_hook(Hook(after)))
        return self

    def detach(self) -> None:
        """Let autograd carry errors back again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self if self.attached else self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _hooks(self, name: str) -> tuple[Any, Any]:
        """Return what hides a layer's input from autograd, and what shows it again, behind the fixed weights."""
        shown: list[Tensor] = []

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            x = args[0] if args else kwargs["input"]
            shown[:] = [x]  # not appended to: a forward pass that raised would leave its input behind
            return (x.detach(),), {}

        def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            x = shown.pop()
            return carry_back(x, output, self.feedback[name].to(output)) if x.requires_grad else output

        return before, after


def _glorot(layer: nn.Module, generator: torch.Generator | None) -> Tensor:
    weight = layer.weight_ex if isinstance(layer, DANNLinear) else layer.weight
    assert isinstance(weight, Tensor)
    feedback = torch.empty(int(layer.out_features), int(layer.in_features), dtype=weight.dtype)  # type: ignore[arg-type]
    return nn.init.xavier_uniform_(feedback, generator=generator).to(weight.device)
