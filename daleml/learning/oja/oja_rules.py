"""Oja's rule, as functions of tensors, and as the rules that :class:`daleml.learning.Oja` is given.

Everywhere ``pre`` is what a weight reads and ``post`` what its units answer, after their
non-linearity: rates, one row an example; a change is the mean over the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from daleml import require

LIMIT = 2.0
"""Where the coefficient times the decay of a weight reaches it, each step carries the weight past its mirror image."""


class DivergenceError(ValueError):
    """Raised where Oja's rule must diverge; it has changed no weight then."""


class ActivityError(ValueError):
    """Raised where an activity is not finite, before Oja's rule has changed a weight."""


# -- the rules, as functions
# -------------------------------------------------------------------------------------------


def subspace(weight: Tensor, pre: Tensor, post: Tensor) -> Tensor:
    r"""Return the change of Oja's subspace rule, :math:`\langle y x^\top - y y^\top W \rangle`.

    Args:
        weight: :math:`W`.
        pre: :math:`x`.
        post: :math:`y`.

    Shape:
        ``weight`` (post, pre), ``pre`` (rows, pre), ``post`` (rows, post) -> (post, pre).

    Returns:
        The change, before any coefficient.

    Example:
        >>> import torch
        >>> w, x = torch.tensor([[0.6, 0.8]]), torch.tensor([[3.0, 4.0]])
        >>> subspace(w, x, x @ w.T).abs().max().item() < 1e-5  # a unit vector along all there is to see stays
        True

    Notes:
        Computed as :math:`\langle y (x - W^\top y)^\top \rangle`, which never forms :math:`y
        y^\top`. The decay mixes rows, so it can change the sign of a weight.

    References:
        Oja 1989 (International Journal of Neural Systems); Shervani-Tabar et al. 2024 (arXiv
        2408.08408), added to backpropagation.
    """
    return post.T @ (pre - post @ weight) / len(post)


def per_neuron(
    weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None = None
) -> Tensor:
    r"""Return the change of Oja's rule for each neuron alone, :math:`\langle s_j y_i x_j - y_i^2 w_{ij} \rangle`.

    Args:
        weight: :math:`w`.
        pre: :math:`x`.
        post: :math:`y`.
        signs: :math:`s`, +1 or -1, of the presynaptic units; default: +1.

    Shape:
        ``weight`` (post, pre), ``pre`` (rows, pre), ``post`` (rows, post), ``signs`` broadcasts
        against the weight -> (post, pre).

    Returns:
        The change, before any coefficient.

    Example:
        >>> import torch
        >>> w, x, y = torch.tensor([[0.5, -0.5]]), torch.ones(1, 2), torch.ones(1, 1)
        >>> per_neuron(w, x, y, signs=torch.tensor([1, -1])).tolist()
        [[0.5, -0.5]]

    Notes:
        With rates that are not negative and a coefficient times :math:`\langle y_i^2 \rangle`
        of at most 1, it moves no weight across zero. That the sign multiplies the first term,
        so that an inhibitory synapse too grows with activity on both sides, is ours: without it
        every inhibitory weight would be driven to zero and past it.

    References:
        Oja 1982 (Journal of Mathematical Biology), the rule of one neuron.
    """
    growth = post.T @ pre / len(post)
    return (growth if signs is None else growth * signs) - post.square().mean(dim=0)[
        :, None
    ] * weight


def normalise(pre: Tensor, post: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    r"""Divide both activities of a row by :math:`\sqrt{\epsilon + |y|^2}`, so that any rule's change is by its square.

    Shape:
        ``pre`` (rows, pre), ``post`` (rows, post) -> the same.
    """
    # by its largest rate first, or by the root of eps, whichever is more: the square of neither
    # overflows then
    largest = post.abs().amax(dim=1, keepdim=True).clamp(min=math.sqrt(eps))
    pre, post = pre / largest, post / largest
    scale = (
        (math.sqrt(eps) / largest).square() + post.square().sum(dim=1, keepdim=True)
    ).rsqrt()
    return pre * scale, post * scale


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    """Return the type that the rules are computed in.

    Half precision has too few bits, and no eigenvalues.
    """
    return torch.promote_types(dtype, torch.float32)


def orthonormality_error(weight: Tensor) -> float:
    r"""Return how far the rows of a weight are from orthonormal, :math:`\|W W^\top - I\|_F / \sqrt n`.

    Args:
        weight: :math:`W`, (post, pre), of n rows. More rows than columns cannot be orthonormal.

    Returns:
        0 where they are.

    Raises:
        ValueError: If ``weight`` is no matrix.

    Example:
        >>> import torch
        >>> orthonormality_error(2 * torch.eye(4))
        3.0
    """
    require.tensor("weight", weight)
    if weight.ndim != 2:
        raise ValueError(f"`weight` must be a matrix; got shape {tuple(weight.shape)}.")
    weight = weight.detach()
    gram = weight @ weight.T - torch.eye(
        len(weight), dtype=weight.dtype, device=weight.device
    )
    return float(torch.linalg.matrix_norm(gram)) / math.sqrt(len(weight))


# -- the rules, as choices
# ---------------------------------------------------------------------------------------------


class Rule:
    """What changes a weight, and how strongly it decays.

    Attributes:
        keeps_signs: Whether it flips no sign where rates are not negative.
    """

    keeps_signs = False

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return the change of a weight, before any coefficient."""
        raise NotImplementedError

    def decay(self, post: Tensor) -> float:
        """Return the largest rate at which a step of coefficient 1 shrinks the weight in some direction."""
        raise NotImplementedError

    def bound(self, post: Tensor) -> float:
        """Return what the decay cannot exceed, where that is cheaper to know than the decay."""
        return self.decay(post)

    def known_bound(self, post: Tensor) -> float:
        """Return the bound, where it was written for the decay of this class.

        Of a subclass with its own, the decay.
        """
        bound, decay = (
            next(c for c in type(self).__mro__ if name in vars(c))
            for name in ("bound", "decay")
        )
        return (
            self.bound(post)
            if bound is Rule or issubclass(bound, decay)
            else self.decay(post)
        )

    def refuse_divergence(self, name: str, coefficient: float, post: Tensor) -> None:
        """Raise :class:`DivergenceError` where a step would overshoot by as much as it corrects, or more."""
        bound = self.known_bound(post)
        if coefficient * bound < LIMIT:
            return
        decay = self.decay(post) if math.isfinite(bound) else bound
        if not coefficient * decay < LIMIT:
            raise DivergenceError(
                f"`{name}` must be below {LIMIT:g} / {decay:.3g}, over the strongest"
                " activity squared, since the rule diverges from there on; got"
                f" {coefficient:g}."
            )


@dataclass(frozen=True)
class Subspace(Rule):
    """The subspace rule, :func:`daleml.learning.oja.subspace`, which can flip a sign until it is projected back.

    Example:
        >>> Subspace()
        Subspace()
    """

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return ``subspace(weight, pre, post)``."""
        return subspace(weight, pre, post)

    def decay(self, post: Tensor) -> float:
        """Return the largest eigenvalue of the mean of ``y yᵀ``; of one row, ``|y|²``."""
        post = post.to(at_least_single(post.dtype))
        gram = post @ post.T if len(post) < post.shape[1] else post.T @ post
        return float(torch.linalg.eigvalsh(gram / len(post))[-1])

    def bound(self, post: Tensor) -> float:
        """Return the sum of all eigenvalues, the mean of ``|y|²``."""
        return float(post.square().sum(dim=1).mean())


@dataclass(frozen=True)
class PerNeuron(Rule):
    """Each neuron's own rule, :func:`daleml.learning.oja.per_neuron`, which flips no sign where rates are not negative.

    Example:
        >>> PerNeuron()
        PerNeuron()
    """

    keeps_signs = True

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return ``per_neuron(weight, pre, post, signs)``."""
        return per_neuron(weight, pre, post, signs)

    def decay(self, post: Tensor) -> float:
        """Return the largest mean square of a neuron's rate."""
        return float(post.square().mean(dim=0).amax())


@dataclass(frozen=True)
class Normalised(Rule):
    r"""A rule whose change is divided by :math:`\epsilon + |y|^2`, row by row, so that it is stable below 2. Ours.

    Args:
        rule: Which rule.
        eps: :math:`\epsilon`; positive.

    Raises:
        TypeError: If ``rule`` is no rule.
        ValueError: If ``eps`` is not positive.

    Example:
        >>> Normalised(Subspace(), eps=0.1)
        Normalised(rule=Subspace(), eps=0.1)

    Notes:
        In no paper: it is here because the published rule diverges where activity is unbounded.
    """

    rule: Rule = field(default_factory=Subspace)
    eps: float = 1e-3

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TypeError(
                f"`rule` must be a rule such as Subspace(); got {self.rule!r}."
            )
        require.positive("eps", self.eps)

    @property
    def keeps_signs(self) -> bool:  # type: ignore[override]
        """Whether the rule does."""
        return self.rule.keeps_signs

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return the rule's change for normalised activities."""
        return self.rule.change(weight, *normalise(pre, post, self.eps), signs)

    def decay(self, post: Tensor) -> float:
        """Return the rule's decay for normalised activities."""
        return self.rule.decay(normalise(post, post, self.eps)[1])

    def bound(self, post: Tensor) -> float:
        """Return the rule's bound for normalised activities."""
        return self.rule.known_bound(normalise(post, post, self.eps)[1])
