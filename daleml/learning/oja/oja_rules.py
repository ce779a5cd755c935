"""Oja's rule: as functions of tensors, and as the objects that :class:`Oja` is given.

Everywhere ``pre`` is what a weight reads, and ``post`` the rates of the units that it drives,
after their nonlinearity. Both have one row per example, and a change is the mean over rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from daleml import require

LIMIT = 2.0
"""The rule diverges where the coefficient times the decay of the weight reaches this.

A step then overshoots the fixed point by as much as it corrects, or more.
"""


class DivergenceError(ValueError):
    """Raised where Oja's rule must diverge; it has changed no weight then."""


class ActivityError(ValueError):
    """Raised where an activity is not finite, before Oja's rule has changed a weight."""


# -- the rules, as functions


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
        >>> # A unit vector along the only direction of the input is a fixed point.
        >>> subspace(w, x, x @ w.T).abs().max().item() < 1e-5
        True

    Notes:
        Computed as :math:`\langle y (x - W^\top y)^\top \rangle`, which never forms :math:`y
        y^\top`. The decay mixes rows, so it can change the sign of a weight.

    References:
        Oja 1989 (International Journal of Neural Systems); Shervani-Tabar et al. 2024 (arXiv
        2408.08408), added to backpropagation.
    """
    # What the output does not explain of the input, carried back: Oja's residual.
    return post.T @ (pre - post @ weight) / len(post)


def per_neuron(
    weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None = None
) -> Tensor:
    r"""Return the change of Oja's rule for each neuron alone.

    .. math:: \langle s_j y_i x_j - y_i^2 w_{ij} \rangle

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
    if signs is not None:
        growth = growth * signs
    # Each row decays by the mean square of its own unit's rate.
    decay = post.square().mean(dim=0)[:, None]
    return growth - decay * weight


def normalise(pre: Tensor, post: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    r"""Divide both activities of a row by :math:`\sqrt{\epsilon + |y|^2}`.

    The change of any rule, which is quadratic in the activities, is divided by its square.

    Args:
        pre: What the weight reads.
        post: :math:`y`.
        eps: :math:`\epsilon`.

    Shape:
        ``pre`` (rows, pre), ``post`` (rows, post) -> the same.
    """
    # First by the row's largest rate, or by the root of eps if that is more, so that the
    # squares below do not overflow.
    root = math.sqrt(eps)
    largest = post.abs().amax(dim=1, keepdim=True).clamp(min=root)
    pre, post = pre / largest, post / largest
    total = (root / largest).square() + post.square().sum(dim=1, keepdim=True)
    scale = total.rsqrt()
    return pre * scale, post * scale


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    """Return the type that the rules are computed in: ``dtype``, or single precision if finer.

    Half precision has too few bits, and torch computes no eigenvalues in it.
    """
    return torch.promote_types(dtype, torch.float32)


def orthonormality_error(weight: Tensor) -> float:
    r"""Return the distance of a weight's rows from orthonormal ones.

    .. math:: \|W W^\top - I\|_F / \sqrt n

    Args:
        weight: :math:`W`, of n rows. More rows than columns cannot be orthonormal.

    Shape:
        ``weight``: (post, pre).

    Returns:
        0 where the rows are orthonormal.

    Raises:
        TypeError: If ``weight`` is no tensor.
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
    n = len(weight)
    identity = torch.eye(n, dtype=weight.dtype, device=weight.device)
    return float(torch.linalg.matrix_norm(weight @ weight.T - identity)) / math.sqrt(n)


# -- the rules, as objects


class Rule:
    """The base class of rules: what changes a weight, and how strongly the weight decays.

    Attributes:
        keeps_signs: Whether the rule flips no sign where rates are not negative.
    """

    keeps_signs = False

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return the change of a weight, before any coefficient.

        Args:
            weight: The effective weight, (post, pre).
            pre: What it reads, (rows, pre).
            post: The rates of the units that it drives, (rows, post).
            signs: +1 or -1 of each presynaptic unit, to broadcast against the weight; None
                where no signs are fixed.
        """
        raise NotImplementedError

    def decay(self, post: Tensor) -> float:
        """Return the decay of the weight: the largest over directions.

        A step of coefficient 1 shrinks the weight by this fraction, in some direction.
        """
        raise NotImplementedError

    def bound(self, post: Tensor) -> float:
        """Return what the decay cannot exceed, where that is cheaper to know than the decay."""
        return self.decay(post)

    def known_bound(self, post: Tensor) -> float:
        """Return the bound, where it was written for the decay of this class, else the decay.

        A subclass that overrides the decay alone would inherit the bound of another decay.
        """
        bound = self._owner_of("bound")
        if bound is Rule or issubclass(bound, self._owner_of("decay")):
            return self.bound(post)
        return self.decay(post)

    def _owner_of(self, method: str) -> type:
        """Return the class in whose body a method of this object is written."""
        return next(cls for cls in type(self).__mro__ if method in vars(cls))

    def refuse_divergence(self, name: str, coefficient: float, post: Tensor) -> None:
        """Raise where a step would overshoot by as much as it corrects, or more.

        Args:
            name: Of the coefficient, for the sentence of the error.
            coefficient: The coefficient.
            post: The rates of the units that the weight drives, (rows, post).

        Raises:
            DivergenceError: If the rule must diverge at this activity.
        """
        bound = self.known_bound(post)
        if coefficient * bound < LIMIT:
            return
        # Eigenvalues of infinite numbers would raise.
        decay = self.decay(post) if math.isfinite(bound) else bound
        if not coefficient * decay < LIMIT:
            raise DivergenceError(
                f"`{name}` must be below {LIMIT:g} / {decay:.3g}, over the strongest"
                " activity squared, since the rule diverges from there on; got"
                f" {coefficient:g}."
            )


@dataclass(frozen=True)
class Subspace(Rule):
    r"""Oja's subspace rule.

    .. math:: \langle y x^\top - y y^\top W \rangle

    See :func:`daleml.learning.oja.subspace`. It can flip a sign, until the weight is projected
    back.

    Example:
        >>> Subspace()
        Subspace()

    References:
        Oja 1989 (International Journal of Neural Systems).
    """

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, signs: Tensor | None
    ) -> Tensor:
        """Return ``subspace(weight, pre, post)``."""
        return subspace(weight, pre, post)

    def decay(self, post: Tensor) -> float:
        r"""Return the largest eigenvalue of the mean of :math:`y y^\top`.

        Of a single row it is :math:`|y|^2`.
        """
        post = post.to(at_least_single(post.dtype))
        # Both products have the same largest eigenvalue; the smaller one is cheaper.
        gram = post @ post.T if len(post) < post.shape[1] else post.T @ post
        return float(torch.linalg.eigvalsh(gram / len(post))[-1])

    def bound(self, post: Tensor) -> float:
        r"""Return the sum of all eigenvalues, which is the mean of :math:`|y|^2`."""
        return float(post.square().sum(dim=1).mean())


@dataclass(frozen=True)
class PerNeuron(Rule):
    r"""Oja's rule for each neuron alone.

    .. math:: \langle s_j y_i x_j - y_i^2 w_{ij} \rangle

    See :func:`daleml.learning.oja.per_neuron`. It flips no sign where rates are not negative.

    Example:
        >>> PerNeuron()
        PerNeuron()

    References:
        Oja 1982 (Journal of Mathematical Biology).
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
    r"""A rule whose change is divided by :math:`\epsilon + |y|^2`, row by row.

    It is stable for coefficients below 2.

    Args:
        rule: The rule to normalise.
        eps: :math:`\epsilon`; positive.

    Raises:
        TypeError: If ``rule`` is no rule.
        ValueError: If ``eps`` is not positive.

    Example:
        >>> Normalised(Subspace(), eps=0.1)
        Normalised(rule=Subspace(), eps=0.1)

    Notes:
        This rule is in no paper. It is here because the published rule diverges where activity
        is unbounded.
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
        """Whether the rule that is normalised keeps signs."""
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
