"""The geometry of a convolution: kernel, step and padding, as torch's convolutions take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from torch import Tensor
from torch.nn import functional as F

from daleml import require

Size: TypeAlias = "int | Sequence[int]"
"""One number for all dimensions, or one for each."""

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution over one or two dimensions, checked.

    Every tuple has an entry per dimension.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    padding_mode: str = "zeros"

    @classmethod
    def of(
        cls,
        dimensions: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        padding_mode: str,
    ) -> Geometry:
        """Read what a user gives, and say in one sentence what is wrong with it."""
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"`padding_mode` must be one of {', '.join(_PADDING_MODES)}; got"
                f" {padding_mode!r}."
            )
        kernel, steps, taps = (
            _per_dimension(name, given, dimensions, minimum=1)
            for name, given in (
                ("kernel_size", kernel_size),
                ("stride", stride),
                ("dilation", dilation),
            )
        )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"`padding` must be a size, 'same' or 'valid'; got {padding!r}."
                )
            # As torch refuses it: with a step above 1 no padding keeps the size.
            if padding == "same" and max(steps) > 1:
                raise ValueError(
                    "`padding` must be a size where `stride` is above 1; got 'same' and"
                    f" {stride}."
                )
            return cls(kernel, steps, padding, taps, padding_mode)
        return cls(
            kernel,
            steps,
            _per_dimension("padding", padding, dimensions, minimum=0),
            taps,
            padding_mode,
        )

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Convolve, as ``nn.Conv1d`` or ``nn.Conv2d`` of this geometry does."""
        convolution = F.conv1d if len(self.kernel_size) == 1 else F.conv2d
        if self.padding_mode == "zeros":
            return convolution(
                x, weight, bias, self.stride, self.padding, self.dilation
            )
        # `F.pad` takes the last dimension first.
        sides: list[int] = []
        for before, after in reversed(self.sides()):
            sides += [before, after]
        return convolution(
            F.pad(x, sides, mode=self.padding_mode),
            weight,
            bias,
            self.stride,
            0,
            self.dilation,
        )

    def sides(self) -> list[tuple[int, int]]:
        """Return the pixels added before and after, one pair per dimension."""
        if self.padding == "valid":
            return [(0, 0)] * len(self.kernel_size)
        if isinstance(self.padding, tuple):
            return [(pixels, pixels) for pixels in self.padding]
        # "same": an even kernel has one pixel more to pad after than before, as in torch.
        sides = []
        for size, dilation in zip(self.kernel_size, self.dilation, strict=True):
            total = dilation * (size - 1)
            sides.append((total // 2, total - total // 2))
        return sides

    def positions(self, x: Tensor) -> int:
        """Return at how many places, over all images of a batch, the kernel meets the input."""
        count = x.shape[0] if x.ndim == len(self.kernel_size) + 2 else 1
        lengths = x.shape[-len(self.kernel_size) :]
        for length, size, step, dilation, (before, after) in zip(
            lengths,
            self.kernel_size,
            self.stride,
            self.dilation,
            self.sides(),
            strict=True,
        ):
            count *= max(
                (length + before + after - dilation * (size - 1) - 1) // step + 1, 0
            )
        return count

    def to_dict(self) -> dict[str, Any]:
        """Return the geometry as arguments of torch's convolutions."""
        return asdict(self)

    def describe(self) -> str:
        """Return what differs from torch's defaults, as in the repr of its convolutions."""
        n = len(self.kernel_size)
        plain = {
            "stride": (1,) * n,
            "padding": (0,) * n,
            "dilation": (1,) * n,
            "padding_mode": "zeros",
        }
        shown = []
        for key, value in self.to_dict().items():
            if plain.get(key) != value:
                shown.append(f"{key}={value!r}")
        return ", ".join(shown)


def _per_dimension(
    name: str, given: Size, dimensions: int, *, minimum: int
) -> tuple[int, ...]:
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * dimensions
    if len(values) != dimensions:
        raise ValueError(
            f"`{name}` must be an integer or {dimensions} of them; got {given}."
        )
    return tuple(require.integer(name, value, minimum=minimum) for value in values)
