"""The one place where it is chosen how a rule runs.

A rule of :mod:`daleml.optim.rules` takes one tensor. It runs

- *gathered*: many small tensors on a CPU as one vector;
- *chunked*: large tensors on a CPU, a cache-sized chunk at a time;
- *compiled*: where ``fused=True`` asks for it;
- on *whole lists*, an operation at a time: on CUDA, or where ``foreach=True`` asks for it;
- as it is, one tensor after the other: whatever else there is, such as a potential of yours, or
  a rule that has no row in ``FAST``.

All give the same numbers to rounding, see ``tests/optim/test_rules.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml._support.sharded_tensors import is_sharded
from daleml.optim import euclidean_steps, rules
from daleml.optim._fast import (
    chunked_rules,
    compiled_rules,
    scratch_rules,
    whole_lists,
)
from daleml.optim._fast.guarded_exp import Headroom
from daleml.potentials import is_plain

Rule = Callable[[Tensor, Tensor, Sequence[Tensor], Any], None]
Form = Callable[..., None]

SMALL = 1 << 14
"""Number of elements up to which a tensor is gathered: calling a pass costs as much as the pass."""


TINY = 1 << 12
"""The same where more is gathered than fits in one vector: then copying is what costs."""

FEW = 1 << 15
"""Number of elements, in all small tensors, beyond which only tiny ones are gathered."""


class Forms(NamedTuple):
    """The fast forms of a rule; None where the rule itself is as fast."""

    gathered: Form | None = None
    chunked: Form | None = None
    compiled: Form | None = None
    whole_lists: Form | None = None


FAST: dict[Rule, Forms] = {
    rules.eg_: Forms(
        gathered=scratch_rules.eg_,
        chunked=chunked_rules.eg_,
        compiled=compiled_rules.eg_,
        whole_lists=whole_lists.eg_,
    ),
    rules.eg_adamw_: Forms(
        gathered=scratch_rules.eg_adamw_,
        chunked=chunked_rules.eg_adamw_,
        compiled=compiled_rules.eg_adamw_,
        whole_lists=whole_lists.eg_adamw_,
    ),
    euclidean_steps.sgd_: Forms(gathered=scratch_rules.sgd_),
    euclidean_steps.adamw_: Forms(gathered=scratch_rules.adamw_),
    rules.mirror_: Forms(
        chunked=chunked_rules.mirror_, compiled=compiled_rules.mirror_
    ),
}
"""The rules that have fast forms. Of the potentials only ``NegativeEntropy`` itself has ``eg_``."""


def longest_gathered(parameters: Sequence[Tensor]) -> int:
    """Return up to how many elements a tensor is gathered, where these step."""
    lengths = [parameter.numel() for parameter in parameters]
    if sum(length for length in lengths if length <= SMALL) <= FEW:
        return SMALL
    return min(SMALL, TINY)


def is_gathered(
    group: dict[str, Any], parameter: Tensor, grad: Tensor, longest: int
) -> bool:
    """Whether a tensor of at most ``longest`` elements steps with others, as one vector."""
    if group["fused"] or group.get("foreach") or not is_elementwise(group):
        return False
    # Copying to and from a vector must be all it takes: no subclass of torch's, no other device.
    ordinary = type(parameter) in (Tensor, torch.nn.Parameter) and type(grad) is Tensor
    # Of a sharded tensor the part in this process is copied.
    ordinary = ordinary or (is_sharded(parameter) and is_sharded(grad))
    strided = parameter.layout == grad.layout == torch.strided
    on_cpu = parameter.is_cpu and grad.is_cpu
    return parameter.numel() <= longest and ordinary and strided and on_cpu


def is_elementwise(options: dict[str, Any]) -> bool:
    """Whether each weight steps for itself: a potential of yours may look at whole tensors."""
    potential = options.get("potential")
    return potential is None or options["euclidean"] or is_plain(potential)


def step_lists(
    rule: Rule,
    group: dict[str, Any],
    lists: tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Sequence[Tensor]]],
    options: Any,
    headroom: Headroom,
) -> None:
    """Take a step of tensors of one dtype and device, in the form that suits them best.

    Args:
        rule: The rule, of one tensor.
        group: The parameter group that they are of.
        lists: Weights, gradients, and a list for each of the rule's moments.
        options: The rule's.
        headroom: What the optimiser knows of it.
    """
    weights, grads, states = lists
    fast = FAST.get(rule, Forms())
    whole = group.get("foreach")
    if whole is None:
        whole = weights[0].is_cuda
    # A first step of momentum comes once: it is not worth compiling.
    fused = group["fused"] and not getattr(options, "fresh", False)
    chunks = weights[0].is_cpu and not torch.compiler.is_compiling()
    if rule is rules.mirror_:
        chunks = chunks and is_plain(options.potential)
    if fused and fast.compiled:
        fast.compiled(weights, grads, states, options, headroom)
    elif whole and fast.whole_lists:
        fast.whole_lists(weights, grads, states, options, headroom)
    elif chunks and fast.chunked:
        fast.chunked(weights, grads, states, options, headroom)
    else:
        for i, weight in enumerate(weights):
            state = [moments[i] for moments in states]
            rule(weight, grads[i], state, options)
