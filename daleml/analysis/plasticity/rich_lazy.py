r"""Rich or lazy: what learning changed in a network's weights, representations and tangent kernel.

With activities :math:`H`, ``(probes, units)``, and the Jacobian :math:`J` of the outputs with
respect to the weights,

========================  ==================================================================
weight change             :math:`\|W_f - W_0\|_F`
representation alignment  :math:`\langle K_0, K_f \rangle / (\|K_0\| \|K_f\|)` of
                          :math:`K = H H^\top`
tangent-kernel alignment  the same of :math:`K = J J^\top`
========================  ==================================================================

before (0) and after (f) learning. Lazy learning is a linear regression on a kernel that stays
what it was: both alignments stay near 1. Rich learning turns the features towards the task:
they fall. Neither :math:`J` nor the kernel is ever held: a column of the kernel is :math:`J
(J^\top e)`, one product back and one product forth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from daleml import require
from daleml.analysis.plasticity.probes import (
    ModelState,
    ModelWeights,
    activities,
    chosen_parameters,
    first_of,
    last_step,
    matching_state,
    require_tensor,
    time_axis,
    untouched,
)

Inputs: TypeAlias = "Tensor | tuple[Any, ...]"
"""Probes as a model takes them."""

LAZY = 0.9
"""The tangent-kernel alignment from which on :meth:`Regime.conclusion` calls learning lazy."""

RICH = 0.5
"""The tangent-kernel alignment up to which :meth:`Regime.conclusion` calls learning rich."""

# A chunk of rows of the Jacobian holds this many numbers: more leave the cache, and then nothing
# is gained by computing them together.
_NUMBERS_OF_CHUNK = 1 << 20


@dataclass(frozen=True)
class Regime:
    r"""What learning changed.

    Attributes:
        weight_change: :math:`\|W_f - W_0\|_F`, over the chosen weights together.
        relative_weight_change: The same over :math:`\|W_0\|_F`.
        representation_alignment: In [0, 1], 1 if the hidden activities relate as before; NaN if
            all are 0.
        kernel_alignment: In [0, 1], 1 if the tangent kernel is as before, up to a factor; NaN
            if it is 0.
        n_probes: Number of inputs.
        n_outputs: Number of outputs over all probes: the size of the tangent kernel.
        parameters: Names of the chosen weights.
        hidden: What was taken as the hidden activity.

    Example:
        >>> result = Regime(0.9, 0.3, 0.8, 0.4, 20, 20, ("0.weight",), "input of 2")
        >>> print(result.conclusion())  # doctest: +NORMALIZE_WHITESPACE
        Rich, as far as one network tells: tangent kernels align to 0.40, activities to 0.80,
        after a change of 30.0% of the weights.
        >>> result.to_dict()["kernel_alignment"]
        0.4
    """

    weight_change: float
    relative_weight_change: float
    representation_alignment: float
    kernel_alignment: float
    n_probes: int
    n_outputs: int
    parameters: tuple[str, ...]
    hidden: str

    def conclusion(self) -> str:
        """Say in one sentence how rich or lazy the learning was."""
        aligned = (
            f"tangent kernels align to {self.kernel_alignment:.2f}, activities to"
            f" {self.representation_alignment:.2f}, after a change of"
            f" {self.relative_weight_change:.1%} of the weights."
        )
        if self.weight_change == 0:
            return "The weights did not change: there is no regime to tell."
        if math.isnan(self.kernel_alignment):
            return (
                "Cannot tell: no output depends on the chosen weights, before or after."
            )
        if self.kernel_alignment >= LAZY:
            return f"Lazy, as far as one network tells: {aligned}"
        if self.kernel_alignment <= RICH:
            return f"Rich, as far as one network tells: {aligned}"
        return f"Between rich and lazy: {aligned}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON.

        An alignment that is not defined is None.
        """
        content = asdict(self)
        for name, value in content.items():
            if isinstance(value, float) and math.isnan(value):
                content[name] = None
        content["parameters"] = list(self.parameters)
        return content | {"conclusion": self.conclusion()}

    def __str__(self) -> str:
        return (
            f"{self.conclusion()}\nweight change {self.weight_change:.4g}"
            f" ({self.relative_weight_change:.1%}), representation alignment"
            f" {self.representation_alignment:.3f}, tangent-kernel alignment"
            f" {self.kernel_alignment:.3f}; {self.n_probes:,} probes, {self.n_outputs:,}"
            f" outputs; weights: {', '.join(self.parameters)}; activity: {self.hidden}"
        )


def regime(
    model: nn.Module,
    before: ModelWeights,
    after: ModelWeights,
    inputs: Inputs,
    *,
    parameter: str | Sequence[str] | None = None,
    hidden: str | Callable[[Any], Tensor] | None = None,
    output: Callable[[Any], Tensor] | None = None,
    chunk: int | None = None,
) -> Regime:
    r"""Measure how rich or lazy learning was, by the change of weights, activities and kernel.

    .. math::
        \text{RA} &= \frac{\langle H_0 H_0^\top, H_f H_f^\top \rangle}
            {\|H_0 H_0^\top\|_F \|H_f H_f^\top\|_F}, \\
        \text{KA} &= \frac{\operatorname{Tr}(J_0 J_0^\top J_f J_f^\top)}
            {\|J_0 J_0^\top\|_F \|J_f J_f^\top\|_F}, \qquad
        J = \frac{\partial\, \text{outputs}}{\partial W}

    The activities are not centred. The model runs in evaluation mode and is left as it was
    found: weights, buffers, gradients, mode, and whatever its modules keep.

    Args:
        model: The network. If it holds a recurrent module, activities of three dimensions are
            sequences, ``(time, batch, units)`` or ``(batch, time, units)`` as that module's
            ``batch_first`` says, of which the last step is taken. Else everything beyond the
            first dimension, the probes, is flattened.
        before: Its weights before learning, a state dict or another module. A state dict shares
            memory with its module: take a copy before training.
        after: Its weights after learning.
        inputs: The probes, as the model takes them, always a batch; a tuple for several arguments.
        parameter: Name or names of the weights :math:`W`; default: the recurrent ones if there
            are any, else all of two dimensions or more.
        hidden: What the hidden activity is: the name of a module, whose output is taken; or a
            function from what the model returns to a tensor, ``(probes, ...)``. Default: what
            the last module with weights reads, that is the readout's input; its output, if it
            is recurrent or the only one.
        output: A function from what the model returns to a tensor of all outputs to
            differentiate. Default: what it returns, or the first of several things, at the last
            step. ``lambda out: out`` takes every step.
        chunk: Number of outputs differentiated at once; default: so many that their Jacobian
            has 2^20 numbers.

    Shape:
        Of the activities (probes, ...), of the outputs any.

    Returns:
        The measures, with what they are of.

    Raises:
        TypeError: If the model, ``hidden`` or ``output`` do not give tensors.
        ValueError: If names or shapes of the weights differ from the model's, or a name is not
            in it.

    Example:
        >>> import copy, torch
        >>> _ = torch.manual_seed(0)
        >>> readout = torch.nn.Linear(64, 1)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), readout)
        >>> before = copy.deepcopy(model.state_dict())
        >>> with torch.no_grad():
        ...     _ = model[0].weight.add_(0.01)
        >>> result = regime(model, before, model, torch.randn(20, 4))
        >>> result.kernel_alignment > 0.99, result.parameters, result.hidden
        (True, ('0.weight', '2.weight'), 'input of 2')

    Notes:
        The authors take RA from 320 probes and KA from the first 32 of them, all time steps and
        outputs; here both are of ``inputs`` and, unless ``output`` says more, of the last step,
        which costs less.

        "Rich" and "lazy" compare networks: the alignments at which :meth:`Regime.conclusion`
        uses the words, at most 0.5 and at least 0.9, are a convention of daleml's.

        Cost: for each output one backward pass, and one through that. Memory: some six times
        ``chunk`` copies of the chosen weights; for 1,000 recurrent units and any number of
        outputs about 160 MiB in all.

    References:
        Liu, Baratin, Cornford, Mihalas, Shea-Brown & Lajoie 2024 (ICLR), "How connectivity
        structure shapes rich and lazy learning in neural circuits", the released code. Jacot,
        Gabriel & Hongler 2018 (NeurIPS), for the tangent kernel.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    first = matching_state(model, "before", before)
    last = matching_state(model, "after", after)
    names = chosen_parameters(model, parameter)
    sequence_axis = time_axis(model)
    read = partial(_outputs, output=output, sequence_axis=sequence_axis)
    with untouched(model), _twice_differentiable():
        # Dropout, and statistics of batches, would make two runs differ.
        model.eval()
        old, label = activities(model, first, arguments, hidden, sequence_axis)
        new, _ = activities(model, last, arguments, hidden, sequence_axis)
        n_outputs, kernel_alignment = _kernel_alignment(
            _outputs_of(model, first, names, arguments, read),
            _outputs_of(model, last, names, arguments, read),
            chunk,
        )
    change = _norm([last[name] - first[name] for name in names])
    size = _norm([first[name] for name in names])
    if size:
        relative = change / size
    else:
        relative = math.inf if change else 0.0
    return Regime(
        weight_change=change,
        relative_weight_change=relative,
        representation_alignment=_alignment(
            _overlap(old, new), _overlap(old, old), _overlap(new, new)
        ),
        kernel_alignment=kernel_alignment,
        n_probes=len(old),
        n_outputs=n_outputs,
        parameters=names,
        hidden=label,
    )


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Let torch take the operations that have a backward pass through their backward pass.

    cuDNN's recurrent kernels have none, and not even a backward pass in evaluation mode; of the
    ways to compute attention only the plain one has.
    """
    with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        yield


def _norm(values: Iterable[Tensor]) -> float:
    """Return the Frobenius norm of several tensors together."""
    return math.sqrt(sum(float(value.double().square().sum()) for value in values))


_OutputFunction: TypeAlias = "tuple[Callable[[ModelState], Tensor], ModelState]"
"""A function from weights to outputs, and the weights at which it is differentiated."""


def _kernel_alignment(
    first: _OutputFunction, last: _OutputFunction, chunk: int | None
) -> tuple[int, float]:
    """Return the size of two tangent kernels, and their alignment, column by column."""
    n_outputs, old_columns = _tangent_columns(*first)
    _, new_columns = _tangent_columns(*last)
    if chunk is None:
        n_weights = sum(value.numel() for value in first[1].values())
        chunk = max(1, _NUMBERS_OF_CHUNK // n_weights)
    else:
        chunk = require.integer("chunk", chunk, minimum=1)
    inner = before = after = 0.0
    for start in range(0, n_outputs, chunk):
        which = torch.arange(start, min(start + chunk, n_outputs))
        old, new = old_columns(which).double(), new_columns(which).double()
        inner += float((old * new).sum())
        before += float(old.square().sum())
        after += float(new.square().sum())
    return n_outputs, _alignment(inner, before, after)


def _tangent_columns(
    function: Callable[[ModelState], Tensor], weights: ModelState
) -> tuple[int, Callable[[Tensor], Tensor]]:
    r"""Return the size of the tangent kernel :math:`J J^\top`, and a function for its columns.

    The function takes the numbers of some columns, and returns them as rows.
    :math:`J v` is the derivative of :math:`u \mapsto J^\top u`, a linear map, times v: reverse
    mode throughout, which more operations have than forward mode.
    """
    outputs, back = vjp(function, weights)[:2]
    # `back` is linear, so where its own derivative is taken does not matter: at zero.
    _, forth = vjp(lambda u: back(u)[0], torch.zeros_like(outputs))[:2]

    def columns(which: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(which, outputs.numel()).to(outputs)
        # A batch of one costs memory and gains nothing.
        if len(one_hot) == 1:
            return cast("Tensor", forth(back(one_hot[0])[0])[0])
        return cast("Tensor", vmap(lambda e: forth(back(e)[0])[0])(one_hot))

    return outputs.numel(), columns


def _overlap(one: Tensor, other: Tensor) -> float:
    r"""Return :math:`\langle A A^\top, B B^\top \rangle`, by the smaller of two products."""
    # Both ways give the same number; one multiplies probes by probes, one units by units.
    if one.shape[0] < one.shape[1]:
        return float(((one @ one.T) * (other @ other.T)).sum())
    return float((one.T @ other).square().sum())


def _alignment(inner: float, before: float, after: float) -> float:
    # The product of the squares might overflow. Rounding may carry the ratio past 1.
    norms = math.sqrt(before) * math.sqrt(after)
    return min(1.0, inner / norms) if norms else math.nan


def _outputs_of(
    model: nn.Module,
    state: ModelState,
    names: Sequence[str],
    arguments: tuple[Any, ...],
    read: Callable[[Any], Tensor],
) -> _OutputFunction:
    """Return the function from the chosen weights to the outputs, one row, and the weights."""

    def function(weights: ModelState) -> Tensor:
        # Of the state, only the chosen weights are differentiated.
        return read(functional_call(model, state | weights, arguments))

    return function, {name: state[name] for name in names}


def _outputs(
    returned: Any, *, output: Callable[[Any], Tensor] | None, sequence_axis: int | None
) -> Tensor:
    """Return the outputs to differentiate, in one row."""
    if output is not None:
        return require_tensor("output", output(returned)).flatten()
    found = require_tensor("output", first_of(returned))
    return last_step(found, sequence_axis).flatten()
