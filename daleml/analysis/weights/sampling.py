"""Taking a sample of magnitudes from anything weight-like, in one pass over memory."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml._support.torch_values import is_module
from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import (
    CHUNK,
    WeightSample,
    WeightsLike,
    magnitudes,
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
            it is.
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
    is_array = type(weights) is np.ndarray and weights.dtype.kind in "fiu"
    if not is_array and (is_module(weights) or isinstance(weights, Mapping)):
        if sample_weights is not None:
            raise ValueError("`sample_weights` must be left out for a model; got some.")
        if not pool:
            samples = weight_samples(weights, drop_missing=drop_missing)
            return _only_sample(samples, sign)
        weights = _all_synapses(weights)
    if not pool and hasattr(weights, "columns"):
        _refuse_columns(weights)
    if is_array:
        array = np.asarray(weights).reshape(-1)
    else:
        array = numbers(weights).reshape(-1)
    counts = None
    if sample_weights is not None:
        counts = _counts(sample_weights, array.size)
        # What was seen no times was not seen.
        if not counts.all():
            array, counts = array[counts > 0], counts[counts > 0]
    if pool:
        taken = 0
    elif sign is None:
        taken = _first_sign(array)
    else:
        taken = sign
    sample = take(array, taken, drop_missing=drop_missing, counts=counts)
    if sign is None and not pool and sample.n_dropped:
        _refuse_both_signs(array)
    if sample.n < 2:
        raise ValueError(
            f"`weights` must hold at least 2 values other than zero; got {sample.n}, "
            f"with {sample.n_zero} zeros and {sample.n_dropped} values left out."
        )
    if counts is None:
        return sample
    return _weighted(sample)


def take(
    array: NDArray[Any],
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
    # Weights go on learning, and a result must not change with them. A file stays on its disk.
    source = array if _is_on_disk(array) else np.empty_like(array)
    dtype: type = np.float64
    # Of many values in single precision, logarithms in single precision tell mean and spread
    # to 1e-7 and cost half.
    if array.dtype == np.float32 and array.size > CHUNK:
        dtype = np.float32
    scratch: NDArray[Any] = np.empty(min(CHUNK, array.size), dtype)
    n = n_zero = n_other = n_missing = n_infinite = 0
    mean = squares = 0.0
    for start in range(0, array.size, CHUNK):
        chunk = source[start : start + CHUNK]
        if source is not array:
            chunk[...] = array[start : start + CHUNK]
        logs = scratch[: chunk.size]
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
        advice = ""
        # An infinite weight is a fault of the network's, whatever else is missing.
        if not n_infinite:
            advice = ": `drop_missing=True` leaves NaN out, and counts them"
        raise ValueError(
            f"`{name}` must be finite; got {n_missing + n_infinite} NaN or infinite values"
            f" of {array.size}{advice}."
        )
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


def _refuse_both_signs(array: NDArray[Any]) -> None:
    """Raise if there are values of both signs, and neither was chosen."""
    from daleml.analysis.distributions.recording import noise_hint

    positive, negative = array[array > 0], array[array < 0]
    if not positive.size or not negative.size:
        return
    # Noise on small weights has the lesser sign.
    sizes = [positive.astype(np.float64), np.abs(negative.astype(np.float64))]
    sizes.sort(key=len, reverse=True)
    hint = noise_hint(*sizes)
    more = ""
    if hint:
        more = f" The {hint.said}."
    raise ValueError(
        "`weights` must be of one sign unless `sign` or `pool` is given; "
        f"got {positive.size} positive and {negative.size} negative values.{more}"
    )


def _weighted(sample: WeightSample) -> WeightSample:
    """Return the sample with its moments as its counts have them."""
    counts = sample.counts()
    logs = np.log(sample.values())
    mean = float(np.average(logs, weights=counts))
    variance = float(np.average((logs - mean) ** 2, weights=counts))
    return replace(sample, log_moments=(mean, math.sqrt(variance)))


def _counts(sample_weights: ArrayLike, size: int) -> NDArray[np.float64]:
    """Return how often each of ``size`` values was seen, checked."""
    given = numbers(sample_weights, "sample_weights")
    counts = np.array(given, dtype=np.float64).reshape(-1)
    if counts.size != size:
        raise ValueError(
            f"`sample_weights` must be as many as the weights, {size}; got {counts.size}."
        )
    wrong = counts[~(np.isfinite(counts) & (counts >= 0))]
    if wrong.size:
        raise ValueError(
            f"`sample_weights` must be finite and at least 0; got {wrong[0]:g}."
        )
    if not counts.any():
        raise ValueError(
            f"`sample_weights` must not all be 0; got {counts.size} zeros."
        )
    # Whole counts add up to 1 only if one value was seen once.
    is_whole = bool(np.all(counts == np.floor(counts)))
    if not is_whole and math.isclose(float(counts.sum()), 1.0, rel_tol=1e-6):
        raise ValueError(
            "`sample_weights` must say how often each value was seen; got numbers that add"
            " up to 1, which are frequencies: multiply them by the number of values that"
            " were seen."
        )
    return counts


def _first_sign(array: NDArray[Any]) -> int:
    """Return the sign of the first value that is above or below zero; +1 if there is none."""
    # Most often the first chunk decides, and an array on a disk is not read further.
    for start in range(0, array.size, CHUNK):
        chunk = array[start : start + CHUNK]
        positive, negative = chunk > 0, chunk < 0
        if positive.any() or negative.any():
            first = np.argmax(positive | negative)
            return int(np.sign(chunk[first]))
    return 1


def _is_on_disk(array: Any) -> bool:
    """Return whether an array is a view of a file that is mapped into memory."""
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap)):
            return True
        array = getattr(array, "base", None)
    return False


def _refuse_columns(weights: Any) -> None:
    """Refuse a table of several columns.

    Sizes and counts side by side are no sample of one thing.
    """
    if not hasattr(weights, "to_numpy") or len(weights.columns) < 2:
        return
    names = list(map(str, weights.columns))
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise ValueError(
        f"`weights` must be one column of a table unless `pool` is given; got {len(names)}"
        f" columns, {some}: choose one as `table[{names[0]!r}]`, or give `table.to_numpy()`"
        " if they are one matrix of weights."
    )
