"""The disturbances of a circuit: noise, and perturbations that act for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from daleml import _sparse_weights
from daleml.layers._recurrent import noise
from daleml.layers._recurrent.kept_dynamics import KeptDynamics
from daleml.layers._recurrent.kept_leak import Step
from daleml.layers._recurrent.perturbing import (
    Drive,
    LayerChanges,
    Perturbation,
    changes_of,
    silent_throughout,
)
from daleml.layers._recurrent.wiring import Wiring
from daleml.layers.dynamics import Dynamics, MembraneLeak, RateLeak
from daleml.populations import Populations


class Disturbed(KeptDynamics):
    """A circuit with noise, and with perturbations while a block of one lasts.

    Attributes:
        _perturbations: What perturbs it now, see :mod:`daleml.layers.perturbations`.
    """

    noise: float
    noise_in_eval: bool
    # Circuits that were pickled before there was any have none.
    input_noise: float = 0.0
    rate_noise: float = 0.0
    generator: torch.Generator | None
    _wiring: Wiring
    _suffixes: tuple[str, ...]
    populations: Populations
    _perturbations: tuple[Perturbation, ...] = ()

    @property
    def is_perturbed(self) -> bool:
        """Whether a block of a perturbation is around the circuit now."""
        return bool(self._perturbations)

    def perturb_alike(self, other: Disturbed) -> None:
        """Perturb a copy of this circuit, for good, as this circuit is perturbed now.

        Raises:
            ValueError: If a perturbation has a window, of which nothing lasts.
        """
        # Who takes such a copy step by step would stand at the beginning of a trial for ever.
        windows = [one.window for one in self._perturbations if one.window is not None]
        if windows:
            begin, end, argument = windows[0]
            raise ValueError(
                "`rnn` must be perturbed throughout, or not at all, where it is judged at a"
                f" constant input; got the block of a perturbation with `{argument}`"
                f" ({begin:g}, {end:g})."
            )
        if self._perturbations:
            vars(other)["_perturbations"] = self._perturbations

    def drive_for_good(self, units: Tensor, amount: Tensor, layer: int) -> None:
        """Drive units of a copy by a current that is the caller's to change, and never ends."""
        change = Drive(layer, None, units, amount)
        vars(self)["_perturbations"] = (*self._perturbations, change)

    @property
    def _is_noisy(self) -> bool:
        """Whether noise is drawn, if there is any."""
        return self.training or self.noise_in_eval

    def _draw_noise(self, rows: Tensor, step: Step | None) -> Tensor:
        """Draw the noise of the state in every step, (rows, units)."""
        return noise.of_state(rows, self.hidden_size, self.noise, step, self.generator)

    def _noisy_input(self, rows: Tensor) -> Tensor:
        """Return what the first layer reads, with its noise."""
        if not self.input_noise or not self._is_noisy:
            return rows
        # The time constants say how much of it a step has, also where dynamics have the leak.
        step = self._step(rows) if self._leaks else None
        return rows + noise.of_input(rows, self.input_noise, step, self.generator)

    # -- what stands around the dynamics of a run

    def _plain_dynamics(self) -> Dynamics:
        """Return the dynamics of a circuit that was given none, as an object."""
        return MembraneLeak() if self._leaks else RateLeak()

    def _with_rate_noise(
        self, dynamics: Dynamics | None, rows: Tensor, sizes: Sequence[int]
    ) -> Dynamics:
        """Return dynamics of one run whose rates are noisy."""
        # One step more: what the state that it begins in sends is noisy too.
        drawn = noise.standard_normal(
            torch.cat([rows[: sizes[0]], rows]), self.hidden_size, self.generator
        )
        each = torch.split(drawn * self.rate_noise, [sizes[0], *sizes])
        return noise.NoisyRates(dynamics or self._plain_dynamics(), each)

    def _changes(self, suffix: str, rows: Tensor, n_steps: int) -> LayerChanges:
        """Return what perturbs one run of a layer."""
        pattern = _sparse_weights.pattern(self, self._wiring.parts(f"hh{suffix}")[0])
        return changes_of(
            self._perturbations,
            self._suffixes.index(suffix),
            n_steps,
            self.dt_ms,
            rows.new_zeros(self.hidden_size),
            composed=not self._wiring.shunting,
            plain=not self._has_dynamics and not (self.rate_noise and self._is_noisy),
            sparse=None if pattern is None else (pattern, self.populations),
        )

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state: ``f(x)``, or the state itself where it is the rate."""
        rates = super().rates(state)
        return rates if not self._perturbations else self._silenced(rates)

    def transmitted(self, state: Tensor) -> Tensor:
        r"""Return what the units send through the recurrent weights in the step after a state.

        It is their rates, or with short-term plasticity :math:`u\, x\, r`, where :math:`u` and
        :math:`x` are those of that step.

        Args:
            state: As in ``hx`` and ``h_n``, of any leading dimensions.

        Shape:
            (..., variables * units) -> (..., units).

        Example:
            >>> import torch
            >>> from daleml import Populations
            >>> from daleml.layers import EIRNN
            >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50)
            >>> rates, state = rnn(torch.rand(20, 4, 3))
            >>> torch.equal(rnn.transmitted(state), rnn.rates(state))
            True
        """
        sent = super().transmitted(state)
        return sent if not self._perturbations else self._silenced(sent)

    def _silenced(self, rates: Tensor) -> Tensor:
        """Return rates, zero where units of every layer are silent throughout."""
        # A state does not say which step it is of, so that a window cannot count here.
        silent = silent_throughout(self._perturbations)
        return (
            rates if silent is None else rates.masked_fill(silent.to(rates.device), 0)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: a copy is outside of every block."""
        state = super().__getstate__()
        # It would never be left by the block's end, which knows the circuit alone.
        state.pop("_perturbations", None)
        return state
