"""Real tensors whose rows hold real numbers, and apart from them the two parts of complex ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class SplitRows:
    """What the rows of a tensor are: real numbers, then real parts, then imaginary parts.

    Attributes:
        n_real: Number of rows that hold real numbers.
        n_complex: Number of rows that hold the real parts of complex numbers, and as many that
            hold their imaginary parts.

    Example:
        >>> import torch
        >>> rows = SplitRows(n_real=1, n_complex=1)
        >>> x = torch.tensor([[3.0], [1.0], [2.0]])  # the numbers 3 and 1 + 2i
        >>> rows.apply(torch.square, x).tolist()  # 9 and -3 + 4i
        [[9.0], [-3.0], [4.0]]
    """

    n_real: int
    n_complex: int

    @property
    def n_numbers(self) -> int:
        """Number of rows that are no imaginary parts: those to which a real constant is added."""
        return self.n_real + self.n_complex

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return views of the real numbers, the real parts and the imaginary parts."""
        # Views, and so no copy: slices of rows are contiguous.
        n = self.n_numbers
        return x[: self.n_real], x[self.n_real : n], x[n:]

    def repeat(self, x: Tensor) -> Tensor:
        """Return real rows as often as they fit, with imaginary parts of zero."""
        numbers = x.repeat(self.n_numbers // len(x), *(1,) * (x.ndim - 1))
        return torch.cat([numbers, x.new_zeros(self.n_complex, *x.shape[1:])])

    def join(self, x: Tensor) -> Tensor:
        """Return all numbers as complex ones, the real ones first, (n_numbers, ...)."""
        n = self.n_numbers
        none = x.new_zeros(self.n_real, *x.shape[1:])
        return torch.complex(x[:n], torch.cat([none, x[n:]]))

    def split(self, numbers: Tensor) -> Tensor:
        """Return complex numbers part by part; of the first ``n_real``, the real part alone."""
        return torch.cat([numbers.real, numbers.imag[self.n_real :]])

    def apply(self, function: Callable[..., Any], *given: Tensor) -> Any:
        """Return what a function makes of the numbers: a tensor, or a tuple of them.

        It is called once with the real numbers, and once with the complex ones.
        """
        parts = [self.parts(x) for x in given]
        # A function of real numbers is cheaper than the same one of complex numbers.
        of_real = function(*(real for real, _, _ in parts))
        of_complex = function(*(torch.complex(re, im) for _, re, im in parts))
        if isinstance(of_real, Tensor):
            return torch.cat([of_real, of_complex.real, of_complex.imag])
        pairs = zip(of_real, of_complex, strict=True)
        return tuple(torch.cat([real, z.real, z.imag]) for real, z in pairs)

    def absolute(self, x: Tensor) -> Tensor:
        """Return the absolute value of each number, (n_numbers, ...)."""
        real, re, im = self.parts(x)
        return torch.cat([real.abs(), torch.hypot(re, im)])
