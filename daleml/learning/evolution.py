r"""Evolution strategies: the gradient of a smoothed loss, estimated from losses alone.

They are for models through which backpropagation cannot go, or goes wrong.

.. math::
    \nabla_w\, \mathbb{E}_\varepsilon\, L(w + \varepsilon)
    = \mathbb{E}_\varepsilon \big[ L(w + \varepsilon)\, \varepsilon \big] / \sigma^2,
    \qquad \varepsilon \sim N(0, \sigma^2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from daleml import require, signs
from daleml._support.devices import place_of
from daleml.learning.member_losses import losses_of_members, module_generators
from daleml.learning.perturbed_parameters import (
    perturbed_names,
    present_synapses,
    rows_of_noise,
)

_SETTINGS = ("population", "sigma", "antithetic", "log_magnitudes")


@dataclass(frozen=True)
class Estimate:
    """One estimate of the gradient: the losses that it was made of, and how far it may be off.

    Attributes:
        loss: Mean over the population. It estimates the smoothed loss, whose gradient was
            estimated.
        losses: Loss of every member, in the unit of the loss. The two members of an antithetic
            pair stand half a population apart.
        standard_errors: Monte-Carlo error of every gradient over the population, by the name
            and in the shape of its parameter. It is NaN where there is only one independent
            perturbation.

    Example:
        >>> import torch
        >>> from daleml.learning import EvolutionStrategy
        >>> layer = torch.nn.Linear(3, 1)
        >>> strategy = EvolutionStrategy(layer, population=8)
        >>> estimate = strategy.backward(lambda layer: layer(torch.ones(3)).square().sum())
        >>> estimate.losses.shape, estimate.standard_errors["weight"].shape
        (torch.Size([8]), torch.Size([1, 3]))
        >>> sorted(estimate.to_dict())
        ['loss', 'losses', 'standard_errors']
    """

    loss: float
    losses: Tensor = field(repr=False)
    standard_errors: dict[str, Tensor] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON.

        The errors of each parameter are reduced to their root mean square.
        """
        errors = {
            name: float(error.square().mean().sqrt())
            for name, error in self.standard_errors.items()
        }
        return {
            "loss": self.loss,
            "losses": self.losses.tolist(),
            "standard_errors": errors,
        }


class EvolutionStrategy:
    r"""Estimate the gradient of a loss from a population of perturbed models, all run in one batch.

    With antithetic pairs :math:`\pm\varepsilon_s`, and a population of :math:`S` members,

    .. math::
        g = \frac{1}{S} \sum_{s=1}^{S/2}
        \frac{L(w + \varepsilon_s) - L(w - \varepsilon_s)}{\sigma^2} \varepsilon_s

    so that the even part of the loss, and with it the loss itself, adds no noise. One-sided, as
    published,

    .. math::
        g = \frac{1}{S} \sum_{s=0}^{S-1} \frac{L(w + \varepsilon_s)}{\sigma^2} \varepsilon_s,
        \qquad \varepsilon_0 = 0.

    Both are unbiased for the gradient of the smoothed loss, but that the one-sided estimate is
    smaller by a factor :math:`1 - 1/S`. The gradient is added to ``.grad``, as ``backward()`` adds
    it, and any optimiser follows.

    Args:
        model: Any module of operations that ``torch.func.vmap`` can batch: batch norm not in
            training, ``EIRNN`` in the place of torch's own recurrent layers.
        population: Number of members, :math:`S`, at least 2; an even number if antithetic.
        sigma: Standard deviation of the perturbations, in the weights' unit; of log magnitudes,
            without a unit.
        antithetic: Whether members come in pairs.
        log_magnitudes: Whether weights of fixed sign are perturbed by a factor, :math:`w
            e^{\varepsilon}`, which cannot change a sign; a weight of exactly zero then stays
            there. Otherwise members are projected onto the signs.
        names: Names of the parameters that are perturbed, as in ``model.named_parameters()``;
            default: all that require a gradient. The published code perturbs one at a time.
        chunk_size: Number of members that run at once; default: all. Perturbations are kept for
            the whole population, half of it if antithetic.
        generator: Source of the perturbations, on the CPU; default: torch's global one.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of range, a name is not one of the model's, or
            ``log_magnitudes`` has no signs to keep.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> from daleml.learning import EvolutionStrategy
        >>> from daleml.optim import enforce
        >>> model, g = EILinear(Populations(8, 2), 3), torch.Generator().manual_seed(0)
        >>> strategy = EvolutionStrategy(model, population=32, sigma=0.05, generator=g)
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        >>> _ = enforce(optimizer, model)
        >>> x, y = torch.rand(64, 10, generator=g), torch.zeros(64, dtype=torch.long)
        >>> def loss(model, x, y):
        ...     return torch.nn.functional.cross_entropy(model(x), y)
        >>> losses = []
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     losses.append(strategy.backward(loss, x, y).loss)
        ...     _ = optimizer.step()
        >>> losses[-1] < losses[0] / 3, bool(signs.check(model))
        (True, True)

    Notes:
        - Antithetic pairs are the default, where the published code is one-sided, without a
          baseline. At the same population the one-sided estimate is many times noisier.
        - All members meet the same chance (common random numbers): the global generator, and
          the ``generator`` of every module, are set back for each, so that differences between
          members are due to the perturbations alone.
        - No member changes the model: buffers and attributes that a forward pass sets are as
          they were.
        - Where members are projected, :math:`g` is the gradient of the smoothed, projected
          loss. It is biased for the loss itself where weights are at zero.
        - Under ``log_magnitudes`` the gradient with respect to the logarithm is divided by the
          weight, and set to zero where the weight is zero. So is its error, and for a weight
          near zero both are enormous. Optimisers that scale every gradient by its own size, as
          Adam does, learn from it. SGD carries small weights across zero, and EG puts such
          gradients into its exponent: leave ``log_magnitudes`` off for those.

    References:
        Nesterov & Spokoiny 2017 Foundations of Computational Mathematics 17:527.
        Salimans, Ho, Chen, Sidor, Sutskever 2017 arXiv:1703.03864.
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        population: int = 64,
        sigma: float = 0.1,
        antithetic: bool = True,
        log_magnitudes: bool = False,
        names: Sequence[str] | None = None,
        chunk_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(
                f"`generator` must be a torch.Generator; got {type(generator).__name__}."
            )
        self.model = model
        self.generator = generator
        self.population = require.integer("population", population, minimum=2)
        self.sigma = require.positive("sigma", sigma)
        self.antithetic = require.flag("antithetic", antithetic)
        self.log_magnitudes = require.flag("log_magnitudes", log_magnitudes)
        if chunk_size is not None:
            require.integer("chunk_size", chunk_size, minimum=1)
        self.chunk_size = chunk_size
        if antithetic and population % 2:
            raise ValueError(
                f"`population` must be even for antithetic pairs; got {population}."
            )
        self.names = perturbed_names(model, names)
        if log_magnitudes and not self._signs().keys() & set(self.names):
            raise ValueError(
                "`log_magnitudes` must be False where no perturbed parameter has fixed"
                " signs; got True."
            )
        self.n_estimates = 0

    @torch.no_grad()
    def backward(self, loss: Callable[..., Tensor], *args: Any) -> Estimate:
        """Estimate the gradient, and add it to the ``.grad`` of every perturbed parameter.

        Args:
            loss: Called as ``loss(model, *args)`` with a member in the model's place; returns a
                scalar.
            args: Handed on: inputs, targets, trials.

        Returns:
            The loss, and how far the gradient may be off.

        Raises:
            RuntimeError: If the loss of a member is NaN or infinite, or the model cannot be
                batched; no gradient is changed then.
            TypeError: If ``loss`` returns no tensor of real numbers. Whole numbers will do,
                such as a count of errors.
            ValueError: If it returns more than one number.
        """
        if not callable(loss):
            raise TypeError(
                f"`loss` must be a function of the model; got {type(loss).__name__}."
            )
        parameters = {
            name: self.model.get_parameter(name).detach() for name in self.names
        }
        noise = self._draw(parameters)
        members = self._members(parameters, noise)
        losses = losses_of_members(self.model, loss, args, members)
        if not bool(losses.isfinite().all()):
            worst = int((~losses.isfinite()).nonzero()[0])
            raise RuntimeError(
                f"`loss` must be finite for every member; got {losses[worst]:g} for member"
                f" {worst}."
            )
        by_factor = self._signs().keys() if self.log_magnitudes else set()
        # No `.grad` has been touched so far: a refusal leaves all as it was.
        errors: dict[str, Tensor] = {}
        for name, weight in parameters.items():
            gradient, error = self._gradient(losses, noise[name])
            gradient, error = gradient.to(weight.dtype), error.to(weight.dtype)
            if name in by_factor:
                # dL/dw = dL/d(log w) / w; a weight of zero has no logarithm, and stays.
                gradient = torch.where(weight == 0, 0, gradient / weight)
                error = torch.where(weight == 0, 0, error / weight)
            errors[name] = error.abs()
            parameter = self.model.get_parameter(name)
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad = parameter.grad + gradient
        self.n_estimates += 1
        return Estimate(float(losses.mean()), losses, errors)

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on with the same numbers.

        That is the settings and every source of randomness: the strategy's ``generator``,
        torch's global one on the CPU, and the ``generator`` of any module.
        """
        own = None if self.generator is None else self.generator.get_state()
        return {
            **self._settings(),
            "n_estimates": self.n_estimates,
            "random": own,
            "random_global": torch.get_rng_state(),
            "random_modules": [
                generator.get_state() for generator in module_generators(self.model)
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted; torch's global generator is set too.

        Args:
            state: What :meth:`state_dict` returned.

        Raises:
            ValueError: If the state is of a strategy with other settings, or with other sources
                of randomness; nothing is changed then.
        """
        # All checks come before the first change.
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise ValueError(
                    f"`state` must be of a strategy with {name} {value!r}; got"
                    f" {state.get(name)!r}."
                )
        own, others = state["random"], state["random_modules"]
        if (own is None) != (self.generator is None):
            wanted, got = "torch's global one", "one of its own"
            if self.generator is not None:
                wanted, got = got, wanted
            raise ValueError(
                f"`state` must be of a strategy with {wanted} for its generator; got {got}."
            )
        generators = module_generators(self.model)
        if len(others) != len(generators):
            raise ValueError(
                f"`state` must be of a model with {len(generators)} generators of its own;"
                f" got {len(others)}."
            )
        if self.generator is not None:
            self.generator.set_state(own.cpu())
        torch.set_rng_state(state["random_global"].cpu())
        for generator, kept in zip(generators, others, strict=True):
            generator.set_state(kept.cpu())
        self.n_estimates = int(state["n_estimates"])

    def _settings(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in _SETTINGS}
        return settings | {"names": list(self.names)}

    # -- the population

    def _draw(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Draw the independent perturbations of each parameter; an absent synapse has none.

        Returns:
            By name, noise of shape ``(pairs, ...)`` if antithetic, else ``(members, ...)``.
        """
        n = self.population // 2 if self.antithetic else self.population
        present = present_synapses(self.model)
        drawn: dict[str, Tensor] = {}
        for name, weight in parameters.items():
            # Drawn on the CPU, so that the numbers do not depend on the device.
            noise = torch.randn(
                n,
                *weight.shape,
                generator=self.generator,
                dtype=weight.dtype,
                device=place_of(self.generator),
            )
            noise = noise.to(weight.device).mul_(self.sigma)
            if not self.antithetic:
                noise[0] = 0  # as published: the first member is the model itself
            exists = present.get(id(self.model.get_parameter(name)))
            if exists is not None:
                noise.masked_fill_(exists == 0, 0)
            drawn[name] = noise
        return drawn

    def _members(
        self, parameters: Mapping[str, Tensor], drawn: Mapping[str, Tensor]
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the parameters of at most ``chunk_size`` members at once, stacked."""
        fixed = self._signs()
        size = self.chunk_size or self.population
        for start in range(0, self.population, size):
            # The members of a chunk, counted over the whole population.
            rows = torch.arange(start, min(start + size, self.population))
            members: dict[str, Tensor] = {}
            for name, weight in parameters.items():
                noise = rows_of_noise(drawn[name], rows)
                if name not in fixed:
                    members[name] = weight + noise
                elif self.log_magnitudes:
                    members[name] = weight * noise.exp()
                else:
                    sign, moved = fixed[name], weight + noise
                    lawful = sign * (sign * moved).clamp_(min=0)
                    # A unit without a sign may have synapses of both.
                    members[name] = torch.where(sign == 0, moved, lawful)
            yield members

    def _gradient(self, losses: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return one parameter's estimate and its standard error, in single precision at least."""
        variance = self.sigma**2
        if self.antithetic:
            plus, minus = losses.chunk(2)
            # The pair shares its perturbation, with opposite signs.
            scores = (plus - minus) / (2 * variance)
        else:
            # The first member is the model itself, and has no perturbation to score.
            scores, noise = losses[1:] / variance, noise[1:]
        n = len(scores)
        dtype = torch.promote_types(noise.dtype, torch.float32)
        scores, noise = scores.to(dtype), noise.to(dtype)
        # A product of scores and noise, which never forms (members, ...) gradients.
        mean = torch.tensordot(scores, noise, 1) / n
        square = torch.tensordot(scores.square(), noise.square(), 1) / n
        spread = (square - mean.square()).clamp_(min=0)
        if n > 1:
            error = (spread / (n - 1)).sqrt()
        else:
            error = torch.full_like(mean, torch.nan)
        # The published mean is over all members, of which the first has no perturbation.
        shrunk = 1.0 if self.antithetic else n / (n + 1)
        return mean * shrunk, error * shrunk

    def _signs(self) -> dict[str, Tensor]:
        """Return the signs fixed on the perturbed parameters, under whatever name they were."""
        fixed = {id(parameter): sign for _, parameter, sign in signs.named(self.model)}
        found: dict[str, Tensor] = {}
        for name in self.names:
            key = id(self.model.get_parameter(name))
            if key in fixed:
                found[name] = fixed[key]
        return found
