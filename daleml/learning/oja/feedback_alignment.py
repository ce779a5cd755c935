"""Feedback alignment: errors are carried back by fixed random weights."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.utils.hooks import RemovableHandle

from daleml import law, modules
from daleml._support.devices import place_of
from daleml.learning.oja.uncopied_hooks import UncopiedHook


def carry_back(x: Tensor, output: Tensor, feedback: Tensor) -> Tensor:
    r"""Return a layer's output, with :math:`B^\top e` for the gradient of its input.

    The layer was called with ``x.detach()``, so that autograd carries nothing back through it.

    Args:
        x: The layer's input, before it was detached.
        output: The layer's output.
        feedback: :math:`B`.

    Shape:
        ``x``: (..., pre); ``output``: (..., post); ``feedback``: (post, pre) -> (..., post).

    Returns:
        A copy of ``output``.
    """
    return cast("Tensor", _CarryBack.apply(x, output, feedback))  # type: ignore[no-untyped-call]


class _CarryBack(torch.autograd.Function):
    """The output forwards, and the fixed weights backwards.

    The same could be had as ``output + (f - f.detach())`` of a linear map ``f`` of the input;
    but a difference of equals is NaN where either overflows.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, output: Tensor, feedback: Tensor) -> Tensor:
        # Not a view of it, on which no activation could work in place.
        return output.clone()

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor
    ) -> None:
        x, _, feedback = inputs
        ctx.save_for_backward(feedback)
        ctx.dtype = x.dtype

    @staticmethod
    def backward(ctx: FunctionCtx, error: Tensor) -> tuple[Tensor, Tensor, None]:
        (feedback,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return (error @ feedback).to(ctx.dtype), error, None  # type: ignore[attr-defined]


class FeedbackAlignment:
    r"""Fixed random feedback in place of the transposed weights.

    .. math:: e_{l-1} = (B_l^\top e_l) \odot f'

    Use it as a context manager, or ``attach`` and ``detach``. While attached, the forward pass
    is unchanged, and the gradient of each dense layer's parameters is that of the error it
    receives; only what a layer hands back is :math:`B^\top e` instead of :math:`W^\top e`. Any
    optimiser follows.

    Args:
        model: A module with dense layers: ``nn.Linear``, ``EILinear``, ``DANNLinear``,
            subclasses of them, and yours that satisfy :class:`daleml.modules.DaleLayer`. The
            output projection of ``nn.MultiheadAttention`` is none of them, since it is never
            called.
        generator: Source of randomness; default: torch's global one.

    Attributes:
        feedback: :math:`B` by the layer's name, (post, pre), drawn Glorot-uniform. Put others
            in place to use them. It is no part of the model: save it with what you save of the
            run. It counts as 0 where an ``EILinear`` reads no unit, or where a column-EI
            synapse does not exist.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If it has no dense layer, or one has no shape before its first forward pass.

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
        Feedback weights have both signs even where the layers keep Dale's law: the law is about
        the forward synapses. A shunting DANN's divisor is left out of what it hands
        back.

        Attach before the model is compiled: what was compiled, and has run, without the fixed
        weights goes on without them. ``attach`` warns where the model itself says that it is
        compiled; of ``torch.compile(model)``, kept beside the model, it cannot know.

    References:
        Lillicrap et al. 2016 (Nature Communications); Shervani-Tabar & Rosenbaum 2023 (Nature
        Communications), the "fix" option of the code, which draws B as it draws W.
    """

    def __init__(
        self, model: nn.Module, *, generator: torch.Generator | None = None
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        uncalled = modules.uncalled(model)
        self._layers: dict[str, nn.Module] = {}
        for name, module in model.named_modules():
            if module not in uncalled and modules.is_dense(module, name):
                self._layers[name] = module
        if not self._layers:
            raise ValueError(
                f"`model` must have a dense layer; got {type(model).__name__} without one."
            )
        modules.require_shapes(model)
        modules.warn_of_kept_otherwise(model, "FeedbackAlignment")
        self._model = model
        self.feedback: dict[str, Tensor] = {}
        for name, layer in self._layers.items():
            self.feedback[name] = _glorot(layer, name, generator)
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
            raise RuntimeError(
                "`attach` must be called once until `detach`; it is attached already."
            )
        # A graph that has been compiled calls no hook that came later.
        if any(_is_compiled(module) for module in self._model.modules()):
            warnings.warn(
                "`model` was compiled before `attach`: where it ran, errors are not"
                " redirected.",
                stacklevel=2,
            )
        for name, layer in self._layers.items():
            before, after = self._hooks(name)
            self._handles.append(
                layer.register_forward_pre_hook(UncopiedHook(before), with_kwargs=True)
            )
            self._handles.append(layer.register_forward_hook(UncopiedHook(after)))
        return self

    def detach(self) -> None:
        """Let autograd carry errors back again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self if self.attached else self.attach()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()

    def _hooks(self, name: str) -> tuple[Any, Any]:
        """Return two hooks of a layer: one hides its input from autograd, one shows it again.

        It is shown behind the fixed weights.
        """
        hidden: list[Tensor] = []

        def before(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            if not args and "input" not in kwargs:
                raise TypeError(
                    f"`input` must be given to `{name}` by position or as `input`; got"
                    " neither."
                )
            x = args[0] if args else kwargs["input"]
            # Replaced, not appended to: a forward pass that raised would leave its input behind.
            hidden[:] = [x]
            if args:
                return (x.detach(), *args[1:]), kwargs
            return (), kwargs | {"input": x.detach()}

        def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            x = hidden.pop()
            if not x.requires_grad:
                return output
            feedback = _cut(module, self.feedback[name]).to(output)
            return carry_back(x, output, feedback)

        return before, after


def _is_compiled(module: nn.Module) -> bool:
    """Whether a module says of itself that it is compiled."""
    return (
        "_orig_mod" in module._modules
        or getattr(module, "_compiled_call_impl", None) is not None
    )


def _glorot(layer: nn.Module, name: str, generator: torch.Generator | None) -> Tensor:
    (spec,) = modules.synaptic_weights(layer, name)
    weight = cast("Tensor", getattr(layer, spec.name))
    shape = modules.n_outputs(layer), modules.n_inputs(layer)
    # On the CPU, so that the numbers do not depend on the device.
    feedback = torch.empty(*shape, dtype=weight.dtype, device=place_of(generator))
    nn.init.xavier_uniform_(feedback, generator=generator)
    return _cut(layer, feedback.to(weight.device))


def _cut(layer: nn.Module, feedback: Tensor) -> Tensor:
    """Return the feedback, set to 0 where the layer has no synapse.

    A DANN, whose weight has several parts, reads all units through its interneurons.
    """
    (spec,) = modules.synaptic_weights(layer)
    present = None if spec.parts else layer._buffers.get(spec.name + law.PRESENT)
    if present is None and spec.units is None:
        return feedback
    columns = slice(None) if spec.units is None else spec.units
    exists = torch.zeros_like(feedback)
    exists[:, columns] = 1 if present is None else present.to(feedback)
    return feedback * exists
