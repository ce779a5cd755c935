"""Exponentiated gradient as mirror descent: into the dual, a step there, and back. Scalars, one weight at a time."""

import math

from daleml import potentials


def to_dual(w):
    """The gradient of the negative entropy, sum |w| ln |w|."""
    return math.copysign(1, w) * (math.log(abs(w)) + 1)


def from_dual(y, sign):
    return sign * math.exp(sign * y - 1)


def p_norm(p):
    return (
        lambda w: math.copysign(abs(w) ** (p - 1), w),
        lambda y, sign: math.copysign(abs(y) ** (1 / (p - 1)), y),
        lambda w: math.copysign((p - 1) * abs(w) ** (p - 1), w),
    )


def hyperbolic(beta):
    return (
        lambda w: math.asinh(w / beta),
        lambda y, sign: beta * math.sinh(y),
        lambda w: w / math.hypot(w, beta),
    )


ENTROPY = (to_dual, from_dual, lambda w: math.copysign(1, w))
POTENTIALS = {
    potentials.PNorm(3): p_norm(3),
    potentials.PNorm(1.5): p_norm(1.5),
    potentials.HyperbolicEntropy(0.5): hyperbolic(0.5),
    potentials.NegativeEntropy(): ENTROPY,
}


class MirrorDescent:
    """One weight's trajectory under mirror descent, with momentum and decay as the EG paper's code orders them."""

    def __init__(
        self,
        lr,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        maximize=False,
        potential=ENTROPY,
    ):
        self.to_dual, self.from_dual, self.decay = potential
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov, self.maximize = (
            weight_decay,
            nesterov,
            maximize,
        )
        self.buffer = None

    def step(self, w, g):
        if w == 0:
            return w
        sign = math.copysign(1, w)
        u = (-g if self.maximize else g) + self.weight_decay * self.decay(w)
        if self.momentum:
            self.buffer = (
                u
                if self.buffer is None
                else self.momentum * self.buffer + (1 - self.dampening) * u
            )
            u = u + self.momentum * self.buffer if self.nesterov else self.buffer
        return self.from_dual(self.to_dual(w) - self.lr * u, sign)


class AdamW:
    """One weight's trajectory under EGAdamW."""

    def __init__(
        self,
        lr,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        maximize=False,
    ):
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.amsgrad, self.maximize = amsgrad, maximize
        self.t, self.m, self.v, self.largest_v = 0, 0.0, 0.0, 0.0

    def step(self, w, g):
        g = -g if self.maximize else g
        self.t += 1
        self.m = self.betas[0] * self.m + (1 - self.betas[0]) * g
        self.v = self.betas[1] * self.v + (1 - self.betas[1]) * g * g
        self.largest_v = max(self.v, self.largest_v)
        v = (self.largest_v if self.amsgrad else self.v) / (1 - self.betas[1] ** self.t)
        direction = self.m / (1 - self.betas[0] ** self.t) / (math.sqrt(v) + self.eps)
        if w == 0:
            return w
        sign = math.copysign(1, w)
        return from_dual(
            to_dual(w * math.exp(-self.lr * self.weight_decay)) - self.lr * direction,
            sign,
        )
