"""From anything weight-like to a sample of magnitudes of one sign, with what was left out counted."""

from __future__ import annotations

import functools
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml._support.torch_values import is_module
from daleml.analysis.weights.real_numbers import numbers

if TYPE_CHECKING:
    from torch import Tensor, nn

WeightsLike: TypeAlias = (
    "Tensor | ArrayLike | nn.Module | Mapping[str, Any] | WeightSample"
)
"""What the analysis reads.

A tensor, an array, a module, a state dict, or a sample already taken.
"""

_CHUNK = 1 << 16  # scratch of a chunk stays in cache


@dataclass(frozen=True)
class Moments:
    """What passes over a sample yield; all that several families need of it."""

    n: int
    mean: float
    root_mean_square: float
    log_mean: float
    log_sd: float
    smallest: float
    largest: float


@dataclass(frozen=True)
class WeightSample:
    """Magnitudes of one sign, as they were when the sample was taken.

    One copy, whatever is computed of it.

    Attributes:
        n: Number of magnitudes above 0.
        n_zero: Number of exact zeros, left out.
        n_dropped: Number of other values left out: of the other sign, or missing.
        sign: +1 for excitatory weights, -1 for inhibitory ones, 0 for both, pooled because the
            caller asked.
        log_moments: Mean and standard deviation of the logarithms of the magnitudes.
        intervals: The lower and the upper end of each, where no more is known of it; see
            :func:`interval_sample`.
    """

    n: int
    n_zero: int
    n_dropped: int
    sign: int
    log_moments: tuple[float, float]
    _source: NDArray[Any] = field(repr=False, compare=False)
    _counts: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    intervals: tuple[NDArray[np.float64], NDArray[np.float64]] | None = field(
        default=None, repr=False, compare=False
    )

    def chunks(self) -> Iterator[NDArray[np.float64]]:
        """Yield the magnitudes, a few at a time, as float64."""
        for start in range(0, self._source.size, _CHUNK):
            values = self._source[start : start + _CHUNK].astype(np.float64)
            magnitudes = _magnitudes(values, self.sign, out=values)
            # Selecting copies, so it is done only where there is something to leave out: zero,
            # the other sign, NaN.
            yield (
                magnitudes
                if self.n == self._source.size
                else magnitudes[magnitudes > 0]
            )

    def values(self) -> NDArray[np.float64]:
        """Return the magnitudes, shape ``(n,)``, float64: a copy."""
        return np.concatenate(list(self.chunks()))

    def counts(self) -> NDArray[np.float64] | None:
        """Return how often each of :meth:`values` counts, or None if each counts once."""
        if self._counts is None or self.n == self._source.size:
            return self._counts
        return self._counts[_magnitudes(self._source, self.sign) > 0]

    def others(self) -> NDArray[np.float64]:
        """Return the sizes of the values of the other sign, which were left out.

        None where both signs were pooled.
        """
        if not self.n_dropped or self.sign == 0 or self._source.dtype.kind == "u":
            return np.empty(0)
        values = self._source.astype(np.float64)
        return np.asarray(np.abs(values[np.sign(values) == -self.sign]))

    @property
    def zero_weight(self) -> float:
        """How much the exact zeros count together.

        Their number, unless sample weights were given.
        """
        return float(
            self.n_zero
            if self._counts is None
            else self._counts[self._source == 0].sum()
        )

    @functools.cached_property
    def moments(self) -> Moments:
        """Means of the magnitudes, their squares and their logarithms, and the standard deviation of the last."""
        total, squares, smallest, largest = 0.0, 0.0, np.inf, 0.0
        # A power of two near the middle, so that neither sums nor squares overflow, or lose a
        # digit.
        middle, spread = self.log_moments
        unit = 2.0 ** np.clip(round((middle + spread) / math.log(2)), -1000, 1000)
        for chunk in self.chunks():
            if not chunk.size:
                continue
            smallest, largest = (
                min(smallest, float(chunk.min())),
                max(largest, float(chunk.max())),
            )
            chunk /= unit
            total += float(chunk.sum())
            squares += float(np.dot(chunk, chunk))
        mean, rms = (
            float(unit * (total / self.n)),
            float(unit * np.sqrt(squares / self.n)),
        )
        return Moments(self.n, mean, rms, middle, spread, smallest, largest)

    @functools.cached_property
    def mean_ratio(self) -> float:
        """Mean of the magnitudes times the mean of their reciprocals.

        The mean ratio of two of them, at least 1.
        """
        mean = self.moments.mean
        return sum(float((mean / chunk).sum()) for chunk in self.chunks()) / self.n


def weight_samples(
    weights: nn.Module | Mapping[str, Any], *, drop_missing: bool = False
) -> dict[str, WeightSample]:
    """Split the weights of a model by parameter and by sign.

    Args:
        weights: A module or a state dict. Where signs are fixed, presynaptic units are sorted
            by them, so that a zero counts with its own unit; elsewhere weights are sorted by
            their own sign, and zeros count with both. A synapse that does not exist, see
            ``signs.fix``, is no zero: it is left out. Parameters with fewer than two dimensions
            are left out too.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.

    Returns:
        Samples by name: the parameter's, followed by `` E`` or `` I`` if its units, or without
        fixed signs its weights, are of both signs. Samples with fewer than two magnitudes are
        left out, there being nothing to fit.

    Raises:
        ValueError: If a weight is NaN or infinite.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear
        >>> list(weight_samples(EILinear(Populations(40, 10), 5)))
        ['weight E', 'weight I']
    """
    from daleml.analysis.weights.model_matrices import weight_matrices

    samples: dict[str, WeightSample] = {}
    for name, array, unit_signs, present in weight_matrices(weights):
        parts = {}
        for sign, label in ((1, "E"), (-1, "I")):
            chosen = slice(None) if unit_signs is None else unit_signs == sign
            part = (
                array[:, chosen].ravel()
                if present is None
                else array[:, chosen][present[:, chosen]]
            )
            parts[label] = _take(part, sign, drop_missing=drop_missing, name=name)
        found = {label: part for label, part in parts.items() if part.n > 1}
        both = (
            len(found) == 2
            if unit_signs is None
            else len(set(unit_signs.tolist())) == 2
        )
        samples |= {
            f"{name} {label}" if both else name: part for label, part in found.items()
        }
    return samples


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

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If they are NaN or infinite, of both signs or of several parameters without
            ``sign`` or ``pool``; if they are a table of several columns without ``pool``; if
            fewer than two differ from zero; if ``sample_weights`` do not fit them, are
            negative, or add up to 1.
    """
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
    if is_module(weights) or isinstance(weights, Mapping):
        if sample_weights is not None:
            raise ValueError("`sample_weights` must be left out for a model; got some.")
        if not pool:
            return _only_sample(
                weight_samples(weights, drop_missing=drop_missing), sign
            )
        weights = _all_synapses(weights)
    if not pool:
        _refuse_columns(weights)
    array = _array(weights)
    counts = None if sample_weights is None else _counts(sample_weights, array.size)
    taken = 0 if pool else sign if sign is not None else _first_sign(array)
    if counts is not None and not counts.all():  # what was seen no times was not seen
        array, counts = array[counts > 0], counts[counts > 0]
    sample = _take(array, taken, drop_missing=drop_missing, counts=counts)
    if sign is None and not pool and sample.n_dropped:
        n_exc, n_inh = (
            int(np.count_nonzero(array > 0)),
            int(np.count_nonzero(array < 0)),
        )
        if n_exc and n_inh:
            raise ValueError(
                "`weights` must be of one sign unless `sign` or `pool` is given; "
                f"got {n_exc} positive and {n_inh} negative values.{_noise(array)}"
            )
    return _weighted(_require_two(sample))


def _all_synapses(weights: nn.Module | Mapping[str, Any]) -> NDArray[Any]:
    from daleml.analysis.weights.model_matrices import weight_matrices

    found = [one.synapses() for one in weight_matrices(weights)]
    return np.concatenate(found or [np.empty(0)])


def _noise(array: NDArray[Any]) -> str:
    """Return a sentence if values of the lesser sign look like noise on small weights, with a space before it."""
    from daleml.analysis.distributions.recording import noise_hint

    sizes = [np.abs(array[array * sign > 0]).astype(np.float64) for sign in (1, -1)]
    hint = noise_hint(*sorted(sizes, key=lambda part: -part.size))
    return f" The {hint.said}." if hint else ""


def _weighted(sample: WeightSample) -> WeightSample:
    """Return the sample with its moments as its counts have them."""
    counts = sample.counts()
    if counts is None:
        return sample
    logs = np.log(sample.values())
    mean = float(np.average(logs, weights=counts))
    return replace(
        sample,
        log_moments=(
            mean,
            math.sqrt(float(np.average((logs - mean) ** 2, weights=counts))),
        ),
    )


def _counts(sample_weights: ArrayLike, size: int) -> NDArray[np.float64]:
    counts = np.array(
        numbers(sample_weights, "sample_weights"), dtype=np.float64
    ).reshape(-1)
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
    whole = bool(np.all(counts == np.floor(counts)))
    if not whole and math.isclose(float(counts.sum()), 1.0, rel_tol=1e-6):
        raise ValueError(
            "`sample_weights` must say how often each value was seen; got numbers that add"
            " up to 1, which are frequencies: multiply them by the number of values that"
            " were seen."
        )
    return counts


def _first_sign(array: NDArray[Any]) -> int:
    """Return the sign of the first value that is above or below zero; +1 if there is none."""
    for start in range(0, array.size, _CHUNK):
        chunk = array[start : start + _CHUNK]
        positive, negative = chunk > 0, chunk < 0
        if positive.any() or negative.any():
            return 1 if positive[np.argmax(positive | negative)] else -1
    return 1


def _only_sample(samples: dict[str, WeightSample], sign: int | None) -> WeightSample:
    chosen = {
        name: sample for name, sample in samples.items() if sign in (None, sample.sign)
    }
    if not chosen:
        raise ValueError(
            "`weights` must hold a parameter with at least 2 values other than zero; got"
            " none."
        )
    if len(chosen) != 1:
        names = ", ".join(chosen) or "none"
        raise ValueError(
            "`weights` must hold one sample of weights unless `pool` is given, see"
            f" `weight_samples`; got {names}."
        )
    return next(iter(chosen.values()))


def _take(
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
    """
    # Weights go on learning, and a result must not change with them. A file stays on its disk.
    source = array if _on_disk(array) else np.empty_like(array)
    # Of many single-precision values, logarithms in single precision tell mean and spread to
    # 1e-7 and cost half.
    dtype = (
        np.float32 if array.dtype == np.float32 and array.size > _CHUNK else np.float64
    )
    logs: NDArray[Any] = np.empty(min(_CHUNK, array.size), dtype)
    n = n_zero = n_other = n_missing = n_infinite = 0
    mean = squares = 0.0
    for start in range(0, array.size, _CHUNK):
        chunk = source[start : start + _CHUNK]
        if source is not array:
            chunk[...] = array[start : start + _CHUNK]
        room = logs[: chunk.size]
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(
                chunk if sign == 1 else _magnitudes(chunk, sign), out=room, dtype=dtype
            )
            total = float(room.sum())
        if not math.isfinite(total):
            n_missing += int(np.count_nonzero(np.isnan(chunk)))
            n_infinite += int(np.count_nonzero(np.isinf(chunk)))
            n_zero += int(np.count_nonzero(chunk == 0))
            room = room[np.isfinite(room)]
            n_other += chunk.size - room.size
            if not room.size:
                continue
            total = float(room.sum())
        n, shift, here = n + room.size, total / room.size - mean, total / room.size
        np.subtract(room, here, out=room)
        # Chan's update: the squares about the joint mean, from those about the chunk's own.
        squares += (
            float(np.dot(room, room)) + shift**2 * (n - room.size) * room.size / n
        )
        mean += shift * room.size / n
    if n_infinite or (n_missing and not drop_missing):
        what = f"got {n_missing + n_infinite} NaN or infinite values of {array.size}"
        only_missing = n_missing and not n_infinite
        advice = (
            ": `drop_missing=True` leaves NaN out, and counts them"
            if only_missing
            else ""
        )
        raise ValueError(f"`{name}` must be finite; {what}{advice}.")
    return WeightSample(
        n,
        n_zero,
        n_other - n_zero,
        sign,
        (mean, math.sqrt(squares / max(n, 1))),
        source,
        counts,
    )


def _magnitudes(
    values: NDArray[Any], sign: int, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return the values of one sign as positive numbers; 0 means both signs."""
    if values.dtype.kind == "u":
        return values if sign >= 0 else np.zeros_like(values)
    return np.asarray(
        np.abs(values, out=out) if sign == 0 else np.multiply(values, sign, out=out)
    )


def _on_disk(array: Any) -> bool:
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap)):
            return True
        array = getattr(array, "base", None)
    return False


def _require_two(sample: WeightSample) -> WeightSample:
    if sample.n < 2:
        raise ValueError(
            f"`weights` must hold at least 2 values other than zero; got {sample.n}, "
            f"with {sample.n_zero} zeros and {sample.n_dropped} values left out."
        )
    return sample


def _refuse_columns(weights: Any) -> None:
    """Refuse a table of several columns.

    Sizes and counts side by side are no sample of one thing.
    """
    columns = getattr(weights, "columns", None)
    if columns is None or not hasattr(weights, "to_numpy") or len(columns) < 2:
        return
    names = [str(name) for name in columns]
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise ValueError(
        f"`weights` must be one column of a table unless `pool` is given; got {len(names)}"
        f" columns, {some}: choose one as `table[{names[0]!r}]`, or give `table.to_numpy()`"
        " if they are one matrix of weights."
    )


def _array(values: Any) -> NDArray[Any]:
    array = numbers(values)
    return array.reshape(-1)
