"""Taking a sample of magnitudes from anything weight-like, in one pass over memory."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml._support.torch_values import is_module
from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import WeightSample, WeightsLike, magnitudes
from daleml.analysis.weights.sample_checks import (
    read_counts,
    refuse_both_signs,
    refuse_columns,
    refuse_not_finite,
)
from daleml.analysis.weights.sparse_entries import as_csr, is_sparse
from daleml.analysis.weights.value_chunks import (
    CHUNK,
    Chunks,
    Source,
    chunks_of,
    pieces,
)

if TYPE_CHECKING:
    from torch import nn

    from daleml.analysis.weights.pathways import By


def weight_sample(
    weights: WeightsLike,
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    sample_weights: ArrayLike | None = None,
) -> WeightSample:
    """Read one sample of magnitudes from anything weight-like.

    Excitatory and inhibitory weights are never pooled unless asked, nor are a model's parameters.

    Args:
        weights: A tensor, an array, a module, a state dict, or a sample, which is returned as
            it is. What is larger than memory comes as a mapped file, a Dask array, a column of
            pyarrow, or :class:`Chunks`, and is read anew for each pass. Of a sparse matrix, the
            entries that it stores are synapses; the others are pairs without one, and counted.
        sign: +1 to take the positive weights, -1 the negative ones; default: those there are,
            if of one sign.
        pool: Whether to take the magnitudes of all, whatever their sign and parameter.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.
        sample_weights: How often each of an array's values counts: 2 is the value twice.
            Default: once.

    Returns:
        The sample. What was left out of it is counted.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If they are NaN or infinite, of both signs or of several parameters without
            ``sign`` or ``pool``; if they are a table of several columns without ``pool``; if
            fewer than two differ from zero; if ``sample_weights`` do not fit them, are
            negative, or add up to 1.

    Example:
        >>> sample = weight_sample([0.1, 0.4, 0.0, 0.2])
        >>> sample.n, sample.n_zero, sample.sign
        (3, 1, 1)
    """
    # What was decided when the sample was taken is not decided again.
    if isinstance(weights, WeightSample):
        if pool or sign not in (None, weights.sign) or sample_weights is not None:
            raise ValueError(
                "`sign`, `pool` and `sample_weights` must be left out for a sample, which"
                " is taken already; got one of them."
            )
        return weights
    if sign not in (None, 1, -1):
        raise ValueError(f"`sign` must be +1, -1 or None; got {sign!r}.")
    if sign is not None and pool:
        raise ValueError(f"`sign` must be None where `pool` is True; got {sign}.")
    # An array of numbers, which most callers give, needs no reading.
    source: Source
    n_absent = 0
    if type(weights) is np.ndarray and weights.dtype.kind in "fiu":
        source = weights
        if weights.ndim != 1:
            source = _flat(weights, in_order=sample_weights is not None)
    elif is_module(weights) or isinstance(weights, Mapping):
        if sample_weights is not None:
            raise ValueError("`sample_weights` must be left out for a model; got some.")
        if not pool:
            samples = weight_samples(weights, drop_missing=drop_missing)
            return _only_sample(samples, sign)
        source = _all_synapses(weights).reshape(-1)
    else:
        in_order = sample_weights is not None
        source, n_absent = _read(weights, pool=pool, in_order=in_order)
    counts = None
    if sample_weights is not None:
        source, counts = _counted(source, sample_weights, n_absent)
    if pool:
        taken = 0
    elif sign is None:
        taken = _first_sign(source)
    else:
        taken = sign
    sample = take(source, taken, drop_missing=drop_missing, counts=counts)
    if sign is None and not pool and sample.n_dropped:
        refuse_both_signs(source)
    if sample.n < 2:
        raise ValueError(
            f"`weights` must hold at least 2 values other than zero; got {sample.n}, "
            f"with {sample.n_zero} zeros and {sample.n_dropped} values left out."
        )
    if n_absent:
        sample = replace(sample, n_absent=n_absent)
    return sample if counts is None else _weighted(sample)


def _read(weights: Any, *, pool: bool, in_order: bool) -> tuple[Source, int]:
    """Return values of one dimension, or their chunks, and how many a sparse matrix lacks."""
    if is_sparse(weights):
        matrix = as_csr(weights)
        return matrix.data, math.prod(matrix.shape) - matrix.nnz
    if not pool and hasattr(weights, "columns"):
        refuse_columns(weights)
    chunks = chunks_of(weights)
    if chunks is not None:
        return chunks, 0
    return _flat(numbers(weights), in_order=in_order), 0


def _flat(array: NDArray[Any], *, in_order: bool) -> NDArray[Any]:
    """Return the values in one dimension; in the order of a file, if nothing counts them."""
    # A file in Fortran's order would be copied into memory to be read row by row.
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    if by_columns and not in_order and _is_on_disk(array):
        array = array.T
    return array.reshape(-1)


def _counted(
    source: Source, sample_weights: ArrayLike, n_absent: int
) -> tuple[Source, NDArray[np.float64]]:
    """Return the values that were seen at all, and how often each was."""
    if n_absent:
        raise ValueError(
            "`sample_weights` must be left out for a sparse matrix; got some."
        )
    if isinstance(source, Chunks):
        # They are counted first: each needs its own sample weight.
        counts = read_counts(sample_weights, sum(part.size for part in source))
    else:
        counts = read_counts(sample_weights, source.size)
    seen = counts > 0
    # What was seen no times was not seen.
    if seen.all():
        return source, counts
    if not isinstance(source, Chunks):
        return source[seen], counts[seen]
    kept, start = [], 0
    for part in source:
        kept.append(part[seen[start : start + part.size]])
        start += part.size
    return np.concatenate(kept), counts[seen]


def take(
    array: Source,
    sign: int,
    *,
    drop_missing: bool = False,
    name: str = "weights",
    counts: NDArray[np.float64] | None = None,
) -> WeightSample:
    """Copy the values and take the moments of their logarithms, reading memory once.

    A sum of logarithms is finite only if every value is above zero and finite. So values are
    looked at one by one only where it is not.

    Args:
        array: Values of one dimension.
        sign: Which of them to take: +1, -1, or 0 for both.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.
        name: What they are called, for a sentence.
        counts: How often each value counts.

    Raises:
        ValueError: If a value is NaN or infinite.
    """
    source: Source = array
    # Weights go on learning, and a result must not change with them. A file stays on its disk,
    # and chunks are read anew.
    if isinstance(array, np.ndarray) and not _is_on_disk(array):
        source = np.empty_like(array)
    scratch: NDArray[Any] = np.empty(0)
    size = n = n_zero = n_other = n_missing = n_infinite = 0
    mean = squares = 0.0
    for chunk in _parts(array):
        if isinstance(source, np.ndarray) and source is not array:
            source[size : size + chunk.size] = chunk
        size += chunk.size
        if not scratch.size:
            # Of many values in single precision, logarithms in single precision tell mean and
            # spread to 1e-7 and cost half.
            many = chunk.size == CHUNK
            if isinstance(array, np.ndarray):
                many = array.size > CHUNK
            single = many and chunk.dtype == np.float32
            scratch = np.empty(chunk.size, np.float32 if single else np.float64)
        logs = scratch[: chunk.size]
        dtype = scratch.dtype
        with np.errstate(divide="ignore", invalid="ignore"):
            sizes = chunk if sign == 1 else magnitudes(chunk, sign)
            np.log(sizes, out=logs, dtype=dtype)
            total = float(logs.sum())
        if not math.isfinite(total):
            n_missing += int(np.count_nonzero(np.isnan(chunk)))
            n_infinite += int(np.count_nonzero(np.isinf(chunk)))
            n_zero += int(np.count_nonzero(chunk == 0))
            logs = logs[np.isfinite(logs)]
            n_other += chunk.size - logs.size
            if not logs.size:
                continue
            total = float(logs.sum())
        n += logs.size
        here = total / logs.size
        shift = here - mean
        np.subtract(logs, here, out=logs)
        # The squares about the joint mean, from those about the chunk's own: Chan, Golub and
        # LeVeque (1983), The American Statistician 37:242-247.
        squares += (
            float(np.dot(logs, logs)) + shift**2 * (n - logs.size) * logs.size / n
        )
        mean += shift * logs.size / n
    if n_infinite or (n_missing and not drop_missing):
        refuse_not_finite(name, n_missing, n_infinite, size)
    log_moments = (mean, math.sqrt(squares / max(n, 1)))
    return WeightSample(n, n_zero, n_other - n_zero, sign, log_moments, source, counts)


def weight_samples(
    weights: nn.Module | Mapping[str, Any],
    *,
    by: By = None,
    drop_missing: bool = False,
) -> dict[str, WeightSample]:
    """Split the weights of a model by parameter and by sign, or by population or pathway.

    Args:
        weights: A module or a state dict. Where signs are fixed, presynaptic units are sorted
            by them, so that a zero counts with its own unit; elsewhere weights are sorted by
            their own sign, and zeros count with both. A synapse that does not exist, see
            ``signs.fix``, is no zero: it is left out. Parameters with fewer than two dimensions
            are left out too.
        by: Whether to divide them further, where a module's layers name their populations:
            ``"population"``, the presynaptic one; or ``"pathway"``, such as ``"E->PV"``, where
            a layer says the populations of both sides.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.

    Returns:
        Samples by name: the parameter's, followed by that of the population or pathway, and by
        `` E`` or `` I`` if its units, or without fixed signs its weights, are of both signs.
        Samples with fewer than two magnitudes are left out, there being nothing to fit.

    Raises:
        TypeError: If ``by`` is given for anything but a module.
        ValueError: If a weight is NaN or infinite, or no layer names its populations.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear
        >>> list(weight_samples(EILinear(Populations(40, 10), 5)))
        ['weight E', 'weight I']
        >>> cells = Populations.of(exc={"E": 40}, inh={"PV": 6, "SST": 4})
        >>> list(weight_samples(EILinear(cells, 5), by="population"))
        ['weight E', 'weight PV', 'weight SST']
    """
    from daleml.analysis.weights.stored_matrices import weight_matrices

    samples: dict[str, WeightSample] = {}
    for parameter in weight_matrices(weights, by=by):
        found: dict[str, WeightSample] = {}
        for sign, label in ((1, "E"), (-1, "I")):
            part = take(
                parameter.synapses(sign),
                sign,
                drop_missing=drop_missing,
                name=parameter.name,
            )
            if part.n > 1:
                found[label] = part
        of_both_signs = len(found) == 2
        # Where every unit has a sign, it counts even if the unit has no sample.
        if parameter.signs is not None and parameter.signs.all():
            of_both_signs = len(set(parameter.signs.tolist())) == 2
        for label, part in found.items():
            name = parameter.name
            if of_both_signs:
                name = f"{name} {label}"
            samples[name] = part
    return samples


def _only_sample(samples: dict[str, WeightSample], sign: int | None) -> WeightSample:
    """Return the only sample of a model, or the only one of a sign."""
    chosen: dict[str, WeightSample] = {}
    for name, sample in samples.items():
        if sign in (None, sample.sign):
            chosen[name] = sample
    if not chosen:
        raise ValueError(
            "`weights` must hold a parameter with at least 2 values other than zero; got"
            " none."
        )
    if len(chosen) != 1:
        raise ValueError(
            "`weights` must hold one sample of weights unless `pool` is given, see"
            f" `weight_samples`; got {', '.join(chosen)}."
        )
    return next(iter(chosen.values()))


def _all_synapses(weights: nn.Module | Mapping[str, Any]) -> NDArray[Any]:
    from daleml.analysis.weights.stored_matrices import weight_matrices

    found = [parameter.synapses() for parameter in weight_matrices(weights)]
    return np.concatenate(found or [np.empty(0)])


def _weighted(sample: WeightSample) -> WeightSample:
    """Return the sample with its moments as its counts have them."""
    mean = _mean_of_logs(sample, 0.0, 1)
    variance = _mean_of_logs(sample, mean, 2)
    return replace(sample, log_moments=(mean, math.sqrt(variance)))


def _mean_of_logs(sample: WeightSample, center: float, power: int) -> float:
    """Return the mean of a power of the logarithms less a number, as counts have it."""
    total = weight = 0.0
    for sizes, counts in sample.counted_chunks():
        assert counts is not None
        total += float((np.log(sizes) - center) ** power @ counts)
        weight += float(counts.sum())
    return total / weight


def _first_sign(source: Source) -> int:
    """Return the sign of the first value that is above or below zero; +1 if there is none."""
    # Most often the first chunk decides, and an array on a disk is not read further.
    for chunk in _parts(source):
        positive, negative = chunk > 0, chunk < 0
        if positive.any() or negative.any():
            first = np.argmax(positive | negative)
            return int(np.sign(chunk[first]))
    return 1


def _parts(source: Source) -> Iterator[NDArray[Any]]:
    """Yield the values in pieces of one length: of what memory holds, views."""
    if isinstance(source, Chunks) or _is_on_disk(source):
        yield from pieces(source)
        return
    for start in range(0, source.size, CHUNK):
        yield source[start : start + CHUNK]


def _is_on_disk(array: Any) -> bool:
    """Return whether an array is a view of a file that is mapped into memory."""
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap)):
            return True
        array = getattr(array, "base", None)
    return False
