r"""Products with a sparse weight: torch's compressed rows forward, and in every derivative.

With the values :math:`v` of the synapses, which make the matrix :math:`W(v)`,

.. math:: y = W(v)\, x, \qquad
    \frac{\partial}{\partial x} = W(v)^\top g, \qquad
    \Bigl(\frac{\partial}{\partial v}\Bigr)_k = \sum_b g_{i_k b}\, x_{j_k b} .

The three are linear in each of their arguments, and each one's derivatives are the other two: so
derivatives of any order need no other product, and none of them makes a matrix of all pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import linear

from daleml._sparse_weights import Pattern
from daleml.layers._recurrent.layer_sweep import full_precision
from daleml.layers._shared.exporting import is_exporting
from daleml.layers._shared.functorch_tensors import is_batched

_DTYPES = (torch.float32, torch.float64)
_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse weight as it acts, ``(post, pre)``.

    Attributes:
        values: One number for each synapse.
        pattern: Where the synapses lie.
    """

    values: Tensor
    pattern: Pattern

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of units that receive and that send."""
        return self.pattern.shape

    def __len__(self) -> int:
        return self.pattern.shape[0]

    def __mul__(self, scale: Tensor | float) -> SparseMatrix:
        """Scale all synapses by a number, or those onto each unit by its own, (post, 1)."""
        if isinstance(scale, Tensor) and scale.ndim:
            scale = scale.flatten().index_select(0, self.pattern.post)
        return SparseMatrix(self.values * scale, self.pattern)

    def masked_fill(self, absent: Tensor, value: float) -> SparseMatrix:
        """Return the weight with another value at some of its synapses."""
        return SparseMatrix(self.values.masked_fill(absent, value), self.pattern)

    def csr(self) -> Tensor:
        """Return the weight as ``torch.sparse_csr``."""
        # Other devices have no such matrices.
        if self.values.device.type not in ("cpu", "cuda"):
            return self.pattern.cpu_csr(self.values)
        return self.pattern.csr(self.values)


StepMatrix = Tensor | SparseMatrix
"""What multiplies the input or the state of a layer."""


def times_rows(x: Tensor, weight: StepMatrix, bias: Tensor | None = None) -> Tensor:
    """Return what presynaptic rates give each postsynaptic unit, as ``nn.functional.linear``.

    Shape:
        ``x`` (*, pre), ``weight`` (post, pre), ``bias`` (post,) -> (*, post).
    """
    if isinstance(weight, Tensor):
        return linear(x, weight, bias)
    # In the precision of the weight, also under autocast: torch has no lower one for these.
    with full_precision(x):
        columns = x.reshape(-1, x.shape[-1]).to(weight.values.dtype).t()
        given = times(weight, columns).t().reshape(*x.shape[:-1], len(weight))
        return given if bias is None else given + bias


def times(weight: SparseMatrix, columns: Tensor) -> Tensor:
    """Return the product of a sparse weight and columns of rates, (pre, b) -> (post, b)."""
    if runs_on_rows(weight.values, columns):
        return _product(weight.values, columns, weight.pattern)
    return _gathered(weight.values, columns, weight.pattern)


def runs_on_rows(*tensors: Tensor) -> bool:
    """Whether torch's compressed rows can multiply these, and nobody looks at every step.

    They know the processor and CUDA, in single and double precision; transforms of
    ``torch.func``, forward derivatives, export and compiling take products of plain operations.
    """
    for one in tensors:
        if one.dtype not in _DTYPES or one.device.type not in _DEVICES:
            return False
    if is_exporting() or torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    if torch._C._are_functorch_transforms_active():
        return False
    unpack: Any = forward_ad.unpack_dual
    return all(unpack(one).tangent is None for one in tensors)


def _gathered(values: Tensor, columns: Tensor, pattern: Pattern) -> Tensor:
    """Return the product by plain operations of torch."""
    sent = values[:, None] * columns.index_select(0, pattern.pre.long())
    received = torch.zeros(
        pattern.shape[0], sent.shape[1], dtype=sent.dtype, device=sent.device
    )
    return received.index_add(0, pattern.post.long(), sent)


class _Product(torch.autograd.Function):
    """The product with the matrix, (pre, b) -> (post, b)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, columns: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(values, columns)
        ctx.pattern = pattern
        return pattern.csr(values) @ columns

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        values, columns = ctx.saved_tensors
        of_values = of_columns = None
        with full_precision(grad):
            if ctx.needs_input_grad[0]:
                of_values = _sampled(grad, columns, ctx.pattern)
            if ctx.needs_input_grad[1]:
                of_columns = _transposed(values, grad, ctx.pattern)
        return of_values, of_columns, None


class _Transposed(torch.autograd.Function):
    """The product with the transpose, (post, b) -> (pre, b)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, columns: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(values, columns)
        ctx.pattern = pattern
        return pattern.transposed_csr(values) @ columns

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        values, columns = ctx.saved_tensors
        of_values = of_columns = None
        if ctx.needs_input_grad[0]:
            of_values = _sampled(columns, grad, ctx.pattern)
        if ctx.needs_input_grad[1]:
            of_columns = _product(values, grad, ctx.pattern)
        return of_values, of_columns, None


class _Sampled(torch.autograd.Function):
    """The product of both ends of every synapse, summed over columns: (post, b), (pre, b)."""

    @staticmethod
    def forward(ctx: Any, post: Tensor, pre: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(post, pre)
        ctx.pattern = pattern
        return sampled(post, pre, pattern)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        post, pre = ctx.saved_tensors
        of_post = of_pre = None
        if ctx.needs_input_grad[0]:
            of_post = _product(grad, pre, ctx.pattern)
        if ctx.needs_input_grad[1]:
            of_pre = _transposed(grad, post, ctx.pattern)
        return of_post, of_pre, None


def sampled(post: Tensor, pre: Tensor, pattern: Pattern) -> Tensor:
    """Return the sum over columns of what both ends of each synapse are, without a graph.

    Shape:
        ``post`` (post, b), ``pre`` (pre, b) -> (synapses,).
    """
    nothing = pattern.csr(post.new_zeros(pattern.size))
    # Rows of both lie together in memory, as the compiled product reads them.
    across = pre.contiguous().t()
    found: Tensor
    found = torch.sparse.sampled_addmm(nothing, post.contiguous(), across, beta=0.0)
    return found.values()


_Derived = Callable[[Tensor, Tensor, Pattern], Tensor]
_BY_ROWS_PRODUCT: _Derived = _Product.apply
_BY_ROWS_TRANSPOSED: _Derived = _Transposed.apply
_BY_ROWS_SAMPLED: _Derived = _Sampled.apply


def _product(values: Tensor, columns: Tensor, pattern: Pattern) -> Tensor:
    if _are_many(values, columns):
        return _gathered(values, columns, pattern)
    return _BY_ROWS_PRODUCT(values, columns, pattern)


def _transposed(values: Tensor, columns: Tensor, pattern: Pattern) -> Tensor:
    if _are_many(values, columns):
        sent = values[:, None] * columns.index_select(0, pattern.post.long())
        empty = sent.new_zeros(pattern.shape[1], sent.shape[1])
        return empty.index_add(0, pattern.pre.long(), sent)
    return _BY_ROWS_TRANSPOSED(values, columns, pattern)


def _sampled(post: Tensor, pre: Tensor, pattern: Pattern) -> Tensor:
    if _are_many(post, pre):
        ends = (
            each.index_select(0, units.long())
            for each, units in ((post, pattern.post), (pre, pattern.pre))
        )
        receiving, sending = ends
        return (receiving * sending).sum(1)
    return _BY_ROWS_SAMPLED(post, pre, pattern)


def _are_many(*tensors: Tensor) -> bool:
    """Whether gradients come many at once, as by ``is_grads_batched``, which rows do not know."""
    return any(map(is_batched, tensors))
