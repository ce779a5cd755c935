"""Populations: which units excite and which inhibit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daleml import require
from daleml._support.keyword_names import Keywords

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Populations(Keywords):
    r"""A partition of ``n`` units into excitatory units, then inhibitory ones.

    Dale's law: unit :math:`j` has one sign :math:`s_j \in \{+1, -1\}` for every synapse it
    makes, so :math:`\operatorname{sign} w_{ij} = s_j`. Excitatory units come first.

    Args:
        n_exc: Number of excitatory units, at least 0.
        n_inh: Number of inhibitory units, at least 0. All-excitatory and all-inhibitory are
            both legal.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If a count is negative, or both are 0.

    Example:
        >>> pops = Populations(n_exc=3, n_inh=1)
        >>> pops.size
        4
        >>> pops.signs()
        tensor([ 1.,  1.,  1., -1.])
        >>> Populations.split(100, inhibitory=0.2)
        Populations(n_exc=80, n_inh=20)

    References:
        Eccles, Fatt & Koketsu 1954, for the law; Song, Yang & Wang 2016, for the partition in
        artificial networks.
    """

    n_exc: int
    n_inh: int = 0

    def __post_init__(self) -> None:
        # A slip that is made often: a fraction in place of a count.
        if isinstance(self.n_inh, float) and 0 < self.n_inh < 1:
            raise TypeError(
                f"`n_inh` must be an integer; got {self.n_inh}: for a fraction of"
                f" {self.n_exc} units write Populations.split({self.n_exc}, {self.n_inh})."
            )
        for name, count in (("n_exc", self.n_exc), ("n_inh", self.n_inh)):
            # As an int, whichever integer numpy gave; the class is frozen.
            object.__setattr__(self, name, require.integer(name, count))
        if self.size == 0:
            raise ValueError("`n_exc` + `n_inh` must be at least 1; got 0.")

    @classmethod
    def split(cls, n: int, inhibitory: float = 0.2) -> Populations:
        """Divide ``n`` units so that a fraction of them, rounded to the nearest unit, inhibits.

        Args:
            n: Number of units, at least 1.
            inhibitory: Fraction of inhibitory units in [0, 1]; exactly half a unit rounds up.

        Raises:
            TypeError: If ``n`` is not an integer, or ``inhibitory`` is not a number.
            ValueError: If ``n`` is below 1, or ``inhibitory`` is outside [0, 1].

        Example:
            >>> Populations.split(10, inhibitory=0.25)
            Populations(n_exc=7, n_inh=3)
        """
        n = require.integer("n", n, minimum=1)
        # Not `round`, which rounds half a unit to the even number.
        n_inh = int(n * require.fraction("inhibitory", inhibitory) + 0.5)
        return cls(n - n_inh, n_inh)

    @classmethod
    def coerce(cls, populations: Populations | int) -> Populations:
        """Read an int as that many excitatory units; leave a partition as it is.

        Args:
            populations: A partition, or a number of units, at least 1.

        Returns:
            A partition.

        Raises:
            TypeError: If it is neither.
            ValueError: If the number is below 1.

        Example:
            >>> Populations.coerce(3)
            Populations(n_exc=3, n_inh=0)
        """
        # A partition is frozen, so the caller's own can be kept.
        if isinstance(populations, Populations):
            return populations
        require_no_pair("populations", populations)
        return cls(require.integer("populations", populations, minimum=1))

    @property
    def size(self) -> int:
        """Number of units, excitatory and inhibitory."""
        return self.n_exc + self.n_inh

    @property
    def exc(self) -> slice:
        """Where the excitatory units are."""
        return slice(0, self.n_exc)

    @property
    def inh(self) -> slice:
        """Where the inhibitory units are."""
        return slice(self.n_exc, self.size)

    def repeat(self, n: int) -> Populations:
        """Return the partition in which every unit stands ``n`` times.

        So do channels, once their pixels are flattened.

        Args:
            n: How often each unit stands, at least 1.

        Returns:
            The larger partition.

        Raises:
            TypeError: If ``n`` is not an integer.
            ValueError: If ``n`` is below 1.

        Example:
            >>> Populations(24, 8).repeat(49)
            Populations(n_exc=1176, n_inh=392)
        """
        n = require.integer("n", n, minimum=1)
        return Populations(self.n_exc * n, self.n_inh * n)

    def signs(
        self,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return the sign of each unit: +1 for the excitatory ones, then -1.

        Args:
            device: Where the tensor is; default: torch's default device.
            dtype: Its type; default: torch's default type.

        Shape:
            ``(size,)``.

        Example:
            >>> Populations(2, 1).signs().tolist()
            [1.0, 1.0, -1.0]
        """
        # Here, so that a partition can be described without loading torch.
        import torch

        signs = torch.ones(self.size, device=device, dtype=dtype)
        signs[self.inh] = -1
        return signs

    def to_dict(self) -> dict[str, int]:
        """Return the two counts, ready for JSON."""
        return {"n_exc": self.n_exc, "n_inh": self.n_inh}


def require_no_pair(name: str, given: object) -> None:
    """Raise if two counts are given in a tuple where a partition was meant.

    Args:
        name: What the caller calls the argument.
        given: Its value.

    Raises:
        TypeError: If it is a pair of integers.

    Example:
        >>> require_no_pair("populations", 3)
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return
    if all(isinstance(count, int) for count in given):
        raise TypeError(
            f"`{name}` must be a Populations or an integer; got {given}: write"
            f" Populations({given[0]}, {given[1]})."
        )
