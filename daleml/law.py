r"""Dale's law for one weight and its signs: the comparison itself.

:mod:`daleml.signs` fixes and checks the signs of whole modules. Here a weight comes with a *sign
buffer*, int8, one entry per presynaptic unit, shaped so that it says by itself where those units
are: it has as few dimensions as it needs to broadcast against the weight, or, for a grouped
convolution, one more than the weight, ``(groups, 1, in / groups, 1, ...)`` against the weight
split into groups. In a state dict the buffer of ``weight`` is ``weight_signs``.

Where not every synapse exists, a second buffer, ``weight_present``, says which do: int8, 1 or
0, of the weight's shape. A boolean would not survive averaging: ``AveragedModel`` subtracts
buffers. Boolean ones of older files are read. An absent synapse obeys the law when it is
exactly zero.

A unit may have no sign: its synapses may be of both, and are not judged. Its entry in the buffer
is 100, which neither emptied memory nor an average of signs comes near. Where synapses do not
learn, ``weight_fixed`` says which, int8, and ``weight_fixed_strengths`` holds their
strengths, of the weight's dtype and zero elsewhere. A fixed synapse obeys the law when it has
its strength.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from daleml._law_report import SHOWN as SHOWN
from daleml._law_report import DaleError as DaleError
from daleml._law_report import SignReport as SignReport
from daleml._law_report import Unjudged as Unjudged
from daleml._law_report import Violation as Violation
from daleml._sparse_law import by_sender
from daleml._sparse_weights import Pattern

SUFFIX = "_signs"
"""The sign buffer of a parameter has its name with this ending."""
PRESENT = "_present"
"""The mask of a parameter has its name with this ending."""
FIXED = "_fixed"
"""The buffer of which synapses of a parameter do not learn has its name with this ending."""
STRENGTHS = "_fixed_strengths"
"""The buffer of the strengths that those have, zero elsewhere, has the name with this ending."""
BUFFERS = (SUFFIX, PRESENT, FIXED, STRENGTHS)
"""How the names of all buffers end that say something of a parameter."""
UNSIGNED = 100
"""The entry of a unit without a sign in a buffer of signs."""
_ROUNDING = 1e-3
"""An average in floating point may leave a sign or a mask this far from a whole number."""
_AVERAGING = 4
"""An average of equal numbers may differ from them by this many roundings."""

FixedStrengths: TypeAlias = tuple[Tensor, Tensor]
"""Which synapses of a weight do not learn, boolean, and their strengths."""
JudgedWeight: TypeAlias = tuple[
    str, Tensor, Tensor, Tensor | None, FixedStrengths | None, Pattern | None
]
"""What :func:`violations` judges: a name, a weight, its sign buffer, its mask or None, what is
fixed in it or None, and where the synapses of a sparse one lie or None."""
Case = JudgedWeight
"""The name of :data:`JudgedWeight` in the first edition."""


# -- the comparison --------------------------------------------------------------------------------


def violations(
    parameter: str,
    weight: Tensor,
    stored: Tensor,
    present: Tensor | None = None,
    fixed: FixedStrengths | None = None,
    pattern: Pattern | None = None,
) -> list[Violation]:
    r"""List the presynaptic units that break the law in one weight, judged by its buffers.

    Unit :math:`j` of sign :math:`s_j` breaks it where not :math:`s_j \, w_{ij} \ge 0`, so NaN
    breaks it too; and where a synapse that does not exist is not zero, or one that is fixed has
    not its strength. A unit without a sign may have synapses of both.

    Args:
        parameter: What to call the weight.
        weight: The weight.
        stored: Its sign buffer.
        present: Which synapses exist, boolean; None if all do.
        fixed: Which synapses do not learn, and their strengths; None if all do.
        pattern: Where the synapses of a sparse weight lie; None of a matrix.
    """
    weight = weight.detach()
    if weight.dtype.itemsize == 1:
        # Torch has no arithmetic for float8.
        weight = weight.float()
    if weight.layout != torch.strided:
        # Torch has no comparisons for sparse tensors.
        weight = weight.to_dense()
    if pattern is not None:
        return _of_synapses(parameter, weight, stored, present, fixed, pattern)
    grown = [] if present is None else _grown(parameter, weight, stored, present)
    if fixed is not None:
        grown += _moved(parameter, weight, stored, fixed)
    signed = weight * broadcastable(stored, weight)
    # Not `signed < 0`, which NaN is not.
    lawless = ~(signed >= 0)
    # Infinity times 0 is NaN.
    lawless &= broadcastable(stored, weight) != 0
    exists = torch.ones_like(lawless) if present is None else present
    lawless &= exists
    if not lawless.any():
        return grown
    if present is not None:
        signed = signed.masked_fill(~present, 0)
    by_unit_signed, unit_signs = by_unit(signed, stored)
    sizes = by_unit(exists, stored)[0].sum(dim=1)
    counts = by_unit(lawless, stored)[0].sum(dim=1)
    worst = unit_signs * by_unit_signed.amin(dim=1)
    return _by_unit_violations(parameter, unit_signs, counts, sizes, worst) + grown


def _of_synapses(
    parameter: str,
    weight: Tensor,
    stored: Tensor,
    present: Tensor | None,
    fixed: FixedStrengths | None,
    pattern: Pattern,
) -> list[Violation]:
    """List the presynaptic units that break the law in a sparse weight."""
    sign = as_factors(stored)
    exists = torch.ones_like(weight, dtype=torch.bool) if present is None else present
    signed = weight * sign
    # Not `signed < 0`, which NaN is not; and infinity times 0 is NaN.
    lawless = ~(signed >= 0) & (sign != 0) & exists
    about = parameter, pattern, sign
    found = by_sender(*about, lawless, exists, torch.stack([-signed, weight]))
    grown = (weight != 0) & ~exists
    sizes = torch.stack([weight.abs(), weight])
    found += by_sender(*about, grown, ~exists, sizes, absent=True)
    if fixed is None:
        return found
    which, strengths = fixed
    strengths = strengths.to(weight)
    moved = differing(weight, strengths) & which
    away = torch.stack([(weight - strengths).abs(), weight])
    return found + by_sender(*about, moved, which, away, moved=True)


def _grown(
    parameter: str, weight: Tensor, stored: Tensor, present: Tensor
) -> list[Violation]:
    """List the presynaptic units with a weight where they make no synapse."""
    if not (weight != 0).logical_and_(~present).any():
        return []
    strengths, unit_signs = by_unit(weight.masked_fill(present, 0), stored)
    sizes = by_unit(~present, stored)[0].sum(dim=1)
    counts = (strengths != 0).sum(dim=1)
    strongest = strengths.abs().argmax(dim=1, keepdim=True)
    worst = strengths.gather(1, strongest).flatten()
    return _by_unit_violations(parameter, unit_signs, counts, sizes, worst, absent=True)


def _moved(
    parameter: str, weight: Tensor, stored: Tensor, fixed: FixedStrengths
) -> list[Violation]:
    """List the presynaptic units that make a fixed synapse which has not its strength."""
    which, strengths = fixed
    strengths = strengths.to(weight)
    moved = differing(weight, strengths) & which
    if not moved.any():
        return []
    sizes = by_unit(which, stored)[0].sum(dim=1)
    counts = by_unit(moved, stored)[0].sum(dim=1)
    # The weight that lies farthest from where it should be; NaN before any other.
    away, unit_signs = by_unit((weight - strengths).masked_fill(~moved, 0), stored)
    farthest = away.abs().argmax(dim=1, keepdim=True)
    worst = by_unit(weight, stored)[0].gather(1, farthest).flatten()
    return _by_unit_violations(parameter, unit_signs, counts, sizes, worst, moved=True)


def differing(found: Tensor, expected: Tensor) -> Tensor:
    """Return where numbers of one dtype differ by more than an average of equals may."""
    if found.dtype.itemsize == 1:
        # Torch has no arithmetic for float8.
        found, expected = found.float(), expected.float()
    rounding = _AVERAGING * torch.finfo(found.dtype).eps
    near = (found - expected).abs() <= rounding * expected.abs()
    # The difference of two infinite numbers is none.
    return ~(near | (found == expected))


def _by_unit_violations(
    parameter: str,
    unit_signs: Tensor,
    counts: Tensor,
    sizes: Tensor,
    worst: Tensor,
    *,
    absent: bool = False,
    moved: bool = False,
) -> list[Violation]:
    """Return a violation for each unit whose count of lawless synapses is not zero."""
    columns = (unit_signs, counts, sizes, worst)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    found = []
    for unit, (sign, count, size, value) in enumerate(rows):
        if count:
            found.append(
                Violation(
                    parameter,
                    unit,
                    int(sign),
                    count,
                    size,
                    float(value),
                    absent=absent,
                    moved=moved,
                )
            )
    return found


def by_unit(weight: Tensor, stored: Tensor) -> tuple[Tensor, Tensor]:
    """Rearrange a weight by presynaptic unit, as its sign buffer says.

    Args:
        weight: A parameter, or a tensor of its shape.
        stored: The buffer ``<parameter>_signs`` that belongs to it.

    Returns:
        The weight as ``(units, synapses each makes)``, and the sign of each unit, 0 without one.
    """
    if stored.ndim > weight.ndim:
        # (groups, out / groups, in / groups, ...) -> (groups, in / groups, out / groups, ...)
        weight = _by_group(weight, stored).movedim(2, 1)
    else:
        weight = weight.movedim(weight.ndim - stored.ndim, 0)
    return weight.reshape(stored.numel(), -1), as_factors(stored).flatten()


def as_factors(stored: Tensor) -> Tensor:
    """Return the signs of a sign buffer as numbers: +1, -1, and 0 where a unit has none."""
    return stored.masked_fill(stored == UNSIGNED, 0)


def broadcastable(stored: Tensor, weight: Tensor) -> Tensor:
    """Return a sign buffer in a shape that broadcasts against the weight, 0 without a sign."""
    stored = as_factors(stored)
    if stored.ndim <= weight.ndim:
        return stored
    # A grouped convolution: the outputs of one group read the inputs of that group alone.
    groups, _, *rest = stored.shape
    n_post = weight.shape[0]
    by_group = stored.expand(groups, n_post // groups, *rest)
    return by_group.reshape(n_post, *rest)


def valid_signs(name: str, stored: Tensor) -> Tensor:
    """Return signs as int8, or raise if one is neither +1 nor -1, nor that there is none.

    Anything else is memory that nobody filled, or that somebody overwrote.
    """
    # A model on the meta device has shapes and no values: nothing could be judged.
    if stored.is_meta:
        raise ValueError(
            f"the signs of `{name}` must have values to judge by; they are on the meta"
            " device."
        )
    whole = _whole(stored)
    wrong = ~((whole.abs() == 1) | (whole == UNSIGNED))
    if wrong.any():
        unit = int(wrong.flatten().nonzero()[0])
        raise ValueError(
            f"the signs of `{name}` must be +1 or -1; got {stored.flatten()[unit].item()}"
            f" for unit {unit}."
        )
    return whole.to(torch.int8)


def valid_present(name: str, stored: Tensor, suffix: str = PRESENT) -> Tensor:
    """Return a mask as boolean, or raise if it holds anything but 0 and 1."""
    if stored.is_meta:
        raise ValueError(
            f"the mask of `{name}` must have values to judge by; it is on the meta device."
        )
    if stored.dtype == torch.bool:
        return stored
    whole = _whole(stored)
    wrong = ~((whole == 0) | (whole == 1))
    if wrong.any():
        raise ValueError(
            f"`{name}{suffix}` must be 0 or 1; got {stored[wrong][0].item()}."
        )
    return whole.to(torch.bool)


def _whole(stored: Tensor) -> Tensor:
    """Round what an average in floating point moved by less than its error."""
    if not stored.is_floating_point():
        return stored
    rounded = stored.round()
    return torch.where((stored - rounded).abs() <= _ROUNDING, rounded, stored)


def saved_signs(state: Mapping[str, Any], key: str) -> Tensor | None:
    """Return the signs saved beside the weight ``key`` of a state dict, int8, or None.

    Raises:
        ValueError: If they do not fit the weight, or are not +1 and -1.
    """
    stored = state.get(key.removesuffix("_orig") + SUFFIX)
    if stored is None:
        return None
    weight, stored = torch.as_tensor(state[key]), torch.as_tensor(stored)
    if not _fits(stored, weight):
        raise ValueError(
            f"`{key}{SUFFIX}` must fit `{key}` of shape {tuple(weight.shape)}; got shape"
            f" {tuple(stored.shape)}."
        )
    return valid_signs(key, stored)


def _fits(stored: Tensor, weight: Tensor) -> bool:
    """Whether a sign buffer has one entry per presynaptic unit of a weight, along its units."""
    try:
        if stored.ndim > weight.ndim:
            by_group = _by_group(weight, stored)
            n_pre = by_group.shape[0] * by_group.shape[2]
            torch.broadcast_to(stored, by_group.shape)
        else:
            n_pre = weight.shape[weight.ndim - stored.ndim]
            torch.broadcast_to(stored, weight.shape)
    # Torch refuses shapes that do not broadcast, and a buffer without dimensions has no
    # place in the weight's shape.
    except (RuntimeError, IndexError):
        return False
    return stored.numel() == n_pre


def saved_present(state: Mapping[str, Any], key: str) -> Tensor | None:
    """Return which synapses of the weight ``key`` of a state dict exist; None if all do.

    Returns:
        A boolean tensor of the weight's shape.

    Raises:
        ValueError: If what is saved does not fit the weight.
    """
    plain = key.removesuffix("_orig")
    present = state.get(plain + PRESENT)
    if present is None:
        return None
    present, shape = torch.as_tensor(present), torch.as_tensor(state[key]).shape
    # Older files hold booleans, and even older ones unsigned bytes.
    known = present.dtype in (torch.bool, torch.int8, torch.uint8)
    if present.shape != shape or not known:
        raise ValueError(
            f"`{key}{PRESENT}` must be boolean and fit `{key}` of shape {tuple(shape)}; got"
            f" {str(present.dtype).removeprefix('torch.')} of shape {tuple(present.shape)}."
        )
    return valid_present(plain, present)


def saved_fixed(state: Mapping[str, Any], key: str) -> FixedStrengths | None:
    """Return which synapses of the weight ``key`` of a state dict do not learn; None if all do.

    Returns:
        A boolean tensor of the weight's shape, and the strengths of those synapses.

    Raises:
        ValueError: If what is saved does not fit the weight.
    """
    plain = key.removesuffix("_orig")
    which, strengths = state.get(plain + FIXED), state.get(plain + STRENGTHS)
    if which is None and strengths is None:
        return None
    if which is None or strengths is None:
        lost, there = (FIXED, STRENGTHS) if which is None else (STRENGTHS, FIXED)
        raise ValueError(
            f"`{plain}{lost}` must be there where `{plain}{there}` is; it is missing, so"
            " that fixed synapses cannot be judged."
        )
    which, strengths = torch.as_tensor(which), torch.as_tensor(strengths)
    shape = torch.as_tensor(state[key]).shape
    for suffix, found in ((FIXED, which), (STRENGTHS, strengths)):
        if found.shape != shape:
            raise ValueError(
                f"`{key}{suffix}` must fit `{key}` of shape {tuple(shape)}; got shape"
                f" {tuple(found.shape)}."
            )
    return valid_present(plain, which, FIXED), strengths


def _by_group(weight: Tensor, stored: Tensor) -> Tensor:
    """Split the weight of a grouped convolution into its groups."""
    return weight.reshape(stored.shape[0], -1, *weight.shape[1:])
