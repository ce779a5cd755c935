r"""Synapses that facilitate or depress while their presynaptic unit is active."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from torch import Tensor

from daleml import require
from daleml.layers.dynamics.leaks import MembraneLeak
from daleml.layers.dynamics.over_other import OverOther
from daleml.layers.dynamics.protocol import Dynamics, Receive, State, TimeStep
from daleml.layers.dynamics.unit_values import Bounds, UnitValues, like, recovery
from daleml.populations import Populations


class Kinetics(NamedTuple):
    """How the synapses of one kind change.

    Attributes:
        tau_u_ms: Time constant in ms with which the use of neurotransmitter recovers.
        tau_x_ms: Time constant in ms with which its store recovers.
        U: The use that it recovers to.

    Example:
        >>> FACILITATING
        Kinetics(tau_u_ms=1500.0, tau_x_ms=200.0, U=0.15)
    """

    tau_u_ms: float
    tau_x_ms: float
    U: float


FACILITATING = Kinetics(tau_u_ms=1500.0, tau_x_ms=200.0, U=0.15)
"""Synapses that grow stronger with use, of Masse et al. 2019."""
DEPRESSING = Kinetics(tau_u_ms=200.0, tau_x_ms=1500.0, U=0.45)
"""Synapses that grow weaker with use, of Masse et al. 2019."""


@dataclass(frozen=True, eq=False, repr=False)
class ShortTermPlasticity(OverOther):
    r"""Synapses that facilitate and depress with the rate of their presynaptic unit.

    .. math::
        x_t &= x_{t-1} + \frac{dt}{\tau_x} (1 - x_{t-1}) - dt\, u_{t-1} x_{t-1} r_{t-1} \\
        u_t &= u_{t-1} + \frac{dt}{\tau_u} (U - u_{t-1}) + dt\, U (1 - u_{t-1})\, r_{t-1}

    Both are kept in [0, 1]. The unit then sends :math:`u_t\, x_t\, r_{t-1}` through its synapses,
    in place of its rate. In the terms that sum over time, :math:`dt` is in seconds and
    :math:`r` in Hz.

    Args:
        tau_u_ms: :math:`\tau_u`, in ms, with which the use :math:`u` recovers: a number, one for
            each presynaptic unit, or numbers by population, such as ``{"E": 1500, "I": 200}``.
            Zero is for a use that recovers within the step, and so does not change.
        tau_x_ms: :math:`\tau_x`, in ms, with which the store :math:`x` recovers, likewise.
        U: The use that is recovered to, in [0, 1], likewise.
        over: The dynamics of the units. ``RectifiedLeak()`` is that of Masse et al.

    Raises:
        TypeError: If a parameter is no number, or ``over`` no dynamics.
        ValueError: If a parameter is out of range, or names populations that the circuit has not.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> from daleml.layers.dynamics import RectifiedLeak
        >>> pops = Populations(80, 20)
        >>> masse = ShortTermPlasticity.alternating(pops, over=RectifiedLeak())
        >>> rnn = EIRNN(3, pops, dt_ms=10, tau_ms=100, noise=0.5, dynamics=masse)
        >>> rates, state = rnn(torch.rand(20, 4, 3))
        >>> rnn.state_names
        ('r', 'x_syn', 'u_syn')
        >>> r, x_syn, u_syn = state.chunk(3, dim=-1)

    Notes:
        - In the steady state of a constant rate, in seconds and Hz, :math:`u = U (1 + \tau_u r) /
          (1 + U \tau_u r)` and :math:`x = 1 / (1 + \tau_x u r)`.
        - Synapses of a presynaptic unit change together, those to every postsynaptic unit of its
          layer; input synapses do not change. Signs stay: :math:`u x` is not negative.
        - Rates should not be negative. They are in Hz: a circuit of rates near 1 hardly changes
          its synapses within a trial.
        - A synapse at rest has the efficacy :math:`U`, so that weights which were drawn for a
          plain circuit act :math:`U` times as strongly: ``spectral_radius`` may make up for it.
        - What ``rnn.transmitted(state)`` gives is sent in the step that follows the state, and so
          has the :math:`u` and :math:`x` of that step.
        - In float16 or bfloat16 a step of :math:`x` or :math:`u` may be too small to count; train
          under autocast, where they stay in the precision of the parameters.

    References:
        Mongillo, Barak & Tsodyks 2008 (Science), for the model; Masse, Yang, Song, Wang &
        Freedman 2019 (Nature Neuroscience), for its discrete step and its parameters.
    """

    tau_u_ms: UnitValues
    tau_x_ms: UnitValues
    U: UnitValues
    over: Dynamics = field(default_factory=MembraneLeak)

    _bounds: ClassVar[dict[str, Bounds]] = {
        "tau_u_ms": require.non_negative,
        "tau_x_ms": require.non_negative,
        "U": require.fraction,
    }
    _own_names: ClassVar[tuple[str, ...]] = ("x_syn", "u_syn")

    @classmethod
    def by_population(
        cls, kinetics: Mapping[str, Kinetics], over: Dynamics | None = None
    ) -> ShortTermPlasticity:
        """Return plasticity of one kind for each population.

        Args:
            kinetics: The kind of each population's synapses, such as ``{"E": FACILITATING,
                "I": DEPRESSING}``.
            over: As in the class.

        Example:
            >>> ShortTermPlasticity.by_population({"E": DEPRESSING, "I": FACILITATING})
            ShortTermPlasticity(tau_u_ms={'E': 200, 'I': 1500}, tau_x_ms={'E': 1500, 'I': 200}, \
U={'E': 0.45, 'I': 0.15}, over=MembraneLeak())
        """
        if not isinstance(kinetics, Mapping):
            raise TypeError(
                "`kinetics` must be a mapping of populations to kinetics; got"
                f" {type(kinetics).__name__}."
            )
        for name, kind in kinetics.items():
            if not isinstance(kind, Kinetics):
                raise TypeError(
                    f"`kinetics` must hold Kinetics, such as `FACILITATING`; got"
                    f" {kind!r} for {name!r}."
                )
        return cls(
            tau_u_ms={name: kind.tau_u_ms for name, kind in kinetics.items()},
            tau_x_ms={name: kind.tau_x_ms for name, kind in kinetics.items()},
            U={name: kind.U for name, kind in kinetics.items()},
            over=over or MembraneLeak(),
        )

    @classmethod
    def alternating(
        cls, units: Populations | int, over: Dynamics | None = None
    ) -> ShortTermPlasticity:
        """Return synapses that facilitate for even units, and depress for odd ones.

        They are those of Masse et al. 2019, excitatory and inhibitory alike.

        Args:
            units: The circuit's units.
            over: As in the class.

        Example:
            >>> ShortTermPlasticity.alternating(100).U[:4].tolist()
            [0.15, 0.45, 0.15, 0.45]
        """
        n = Populations.coerce(units).size
        kinds = [(FACILITATING, DEPRESSING)[unit % 2] for unit in range(n)]
        return cls(
            tau_u_ms=[kind.tau_u_ms for kind in kinds],
            tau_x_ms=[kind.tau_x_ms for kind in kinds],
            U=[kind.U for kind in kinds],
            over=over or MembraneLeak(),
        )

    @property
    def starts(self) -> tuple[Tensor | float, ...]:
        """Those of ``over``, a full store, and the use that is recovered to."""
        return (*self.over.starts, 1.0, self.U)  # type: ignore[arg-type]

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step: of the synapses first, then of the units."""
        *membrane, x, u = state
        rates = self.over.rates(tuple(membrane), time.f)
        refill, used_of_x = recovery(like(self.tau_x_ms, x), time.dt_ms)
        regain, used_of_u = recovery(like(self.tau_u_ms, u), time.dt_ms)
        rest = like(self.U, u)
        # Both from the old values.
        x, u = (
            x + refill * (1 - x) - used_of_x * u * x * rates,
            u + regain * (rest - u) + used_of_u * rest * (1 - u) * rates,
        )
        x, u = x.clamp(0, 1), u.clamp(0, 1)

        def through_synapses(sent: Tensor) -> Tensor:
            return receive(u * x * sent)

        return (*self.over.step(tuple(membrane), through_synapses, time), x, u)

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rates of the units."""
        return self.over.rates(state[:-2], f)
