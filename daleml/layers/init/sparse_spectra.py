"""Spectral radii and balances of sparse weights, by products alone.

Each function is the twin of one for matrices, and takes ``torch.sparse_csr``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from daleml import _sparse_weights
from daleml.layers.init.largest_eigenvalue import largest_modulus

_N_STARTS, _N_STEPS, _BETWEEN = 8, 200, 4
# As in the twin for matrices.
_N_RECTIFIED_STARTS, _N_RECTIFIED_STEPS = 16, 64


def radius(weight: Tensor) -> float:
    """Return the largest modulus of an eigenvalue of a sparse weight; 0 if it has no loop."""
    return largest_modulus(_sparse_weights.to_scipy(weight))


def has_loop(weight: Tensor) -> bool:
    """Whether any unit of a sparse weight acts on itself, by synapses that are not zero."""
    from scipy.sparse.csgraph import connected_components

    matrix = _sparse_weights.to_scipy(weight)
    matrix.eliminate_zeros()
    if matrix.diagonal().any():
        return True
    n_parts, _ = connected_components(matrix, directed=True, connection="strong")
    return bool(n_parts < matrix.shape[0])


@torch.no_grad()
def rectified_radius(weight: Tensor) -> float:
    """Return the factor per step by which rectified activity grows in a sparse weight."""
    matrix = _on_cpu(weight)
    values = matrix.values()
    largest = float(values.abs().max()) if len(values) else 0.0
    if not largest:
        return 0.0
    sizes = _N_RECTIFIED_STARTS, _N_RECTIFIED_STEPS
    return growth(
        lambda x: (matrix @ x).clamp_(min=0), matrix.shape[0], *sizes, matrix, sign=1
    )


@torch.no_grad()
def leaky_growth(weight: Tensor, leak: Tensor, n_taus: int, most_steps: int) -> float:
    """Return by how much per step states grow, in units that leak at their own speeds.

    Args:
        weight: The recurrent weight.
        leak: The fraction of the state that each unit replaces in a step.
        n_taus: For how many of the slowest time constants states are followed.
        most_steps: The most steps.
    """
    matrix = _on_cpu(weight)
    n_units, each = weight.shape[0], leak.to(matrix.dtype)[:, None]
    n_steps = min(most_steps, 8 * math.ceil(n_taus / (8 * float(leak.min()))))
    kept = 1 - each

    def step(state: Tensor) -> Tensor:
        # The first half of the states is rectified, the other not. Reading the weight takes
        # most of the time, and one product does it for both.
        seen = state.clone()
        seen[:, :_N_STARTS].clamp_(min=0)
        return (matrix @ seen).mul_(each).addcmul_(kept, state)

    starts = (_starts(n_units, _N_STARTS, matrix, sign) for sign in (1, 0))
    return _grown(step, torch.cat([*starts], dim=1), n_steps)


@torch.no_grad()
def growth(
    step: Callable[[Tensor], Tensor],
    n_units: int,
    n_starts: int,
    n_steps: int,
    like: Tensor,
    sign: int = 0,
) -> float:
    """Return by which factor per step activity grows, over the second half of some steps.

    Args:
        step: Returns activity after a step, (units, starts).
        n_units: Number of units.
        n_starts: From how many drawn activities to start: the fastest counts.
        n_steps: Number of steps.
        like: What has the type of activity.
        sign: 1 to start from activity that is not negative.
    """
    return _grown(step, _starts(n_units, n_starts, like, sign), n_steps)


def _starts(n_units: int, n_starts: int, like: Tensor, sign: int) -> Tensor:
    """Return drawn activities, (units, starts), not negative if ``sign`` is 1."""
    generator = torch.Generator().manual_seed(0)
    activity = torch.rand(n_units, n_starts, generator=generator, dtype=torch.float64)
    if not sign:
        activity = activity * 2 - 1
    return activity.to(like.dtype)


def _grown(step: Callable[[Tensor], Tensor], activity: Tensor, n_steps: int) -> float:
    """Return the factor per step by which the fastest of some activities grows; see ``growth``."""
    grown = torch.zeros(activity.shape[1], dtype=torch.float64)
    for number in range(1, n_steps + 1):
        activity = step(activity)
        if number % _BETWEEN and number != n_steps // 2:
            continue
        size = activity.norm(dim=0)
        if number > n_steps // 2:
            # What has died out stays so: the logarithm of zero is minus infinity.
            grown += size.double().log()
        activity = activity / size.clamp(min=torch.finfo(size.dtype).tiny)
    return float((grown.max() / (n_steps - n_steps // 2)).exp())


def row_balance(weight: Tensor) -> Tensor:
    """Return the factor of each synapse that makes every row sum to zero, float64."""
    # On the CPU: not every device has float64.
    values = weight.values().to("cpu", torch.float64)
    starts = weight.crow_indices().long().cpu()
    post = torch.repeat_interleave(
        torch.arange(weight.shape[0], device=values.device), starts.diff()
    )
    nothing = torch.zeros(weight.shape[0], dtype=torch.float64, device=values.device)
    excitation = nothing.index_add(0, post, values.clamp(min=0))
    inhibition = nothing.index_add(0, post, -values.clamp(max=0))
    both = (excitation > 0) & (inhibition > 0)
    # The inner `where` keeps a row without inhibition from dividing by zero.
    factor = torch.where(both, excitation / torch.where(both, inhibition, 1.0), 1.0)
    return torch.where(values < 0, factor[post], torch.ones_like(values))


def _on_cpu(weight: Tensor) -> Tensor:
    """Return a sparse weight on the processor, in single precision at least."""
    found = weight.detach().cpu()
    values = found.values()
    values = values if values.dtype == torch.float64 else values.float()
    starts, columns = found.crow_indices(), found.col_indices()
    # The products of torch take places in 32 bits, and would copy longer ones at every step.
    if max(len(values), *found.shape) <= torch.iinfo(torch.int32).max:
        starts, columns = starts.int(), columns.int()
    return torch.sparse_csr_tensor(
        starts, columns, values, found.shape, check_invariants=False
    )
