"""Equilibrium propagation unit by unit, in Python's own complex numbers; and the potential, differentiated by autograd."""

import cmath

import numpy as np
import torch
from torch.nn.functional import conv2d, linear


def logistic(z):
    return 1 / (1 + cmath.exp(-(4 * z - 2)))


def output(weight, bias, h):
    z = [
        b + sum(w * r for w, r in zip(row, h, strict=True))
        for row, b in zip(weight, bias, strict=True)
    ]
    e = [cmath.exp(one) for one in z]
    return [one / sum(e) for one in e]


def settle(weights, biases, x, y, beta, steps, states=None):
    """One sample. `weights[l]` is (post, pre) as nested lists, the last of them the readout's; `y` is a class."""
    states = states or [[0j] * len(bias) for bias in biases[:-1]]
    for _ in range(steps):
        p = output(weights[-1], biases[-1], states[-1])
        error = [beta * ((k == y) - one) for k, one in enumerate(p)]
        above = [*states[1:], error]
        below = [x, *states[:-1]]
        states = [
            [
                logistic(
                    biases[layer][i]
                    + sum(
                        weights[layer][i][j] * below[layer][j]
                        for j in range(len(below[layer]))
                    )
                    + sum(
                        weights[layer + 1][k][i] * above[layer][k]
                        for k in range(len(above[layer]))
                    )
                )
                for i in range(len(states[layer]))
            ]
            for layer in range(len(states))
        ]
    return states


def derivatives(weights, biases, x, y, beta, states):
    """Of the nudged potential to each weight and bias."""
    p = output(weights[-1], biases[-1], states[-1])
    posts = [*states, [beta * ((k == y) - one) for k, one in enumerate(p)]]
    pres = [x, *states]
    return [np.outer(post, pre) for post, pre in zip(posts, pres, strict=True)], [
        np.array(post) for post in posts
    ]


def equilibrium(weights, biases, x, y, beta, n_points, steps):
    """The gradient to each weight and each bias, every point relaxed for itself."""
    free = settle(weights, biases, x, y, 0, steps)
    if n_points == 1:
        at_rest = derivatives(weights, biases, x, y, 0, free)
        nudged = derivatives(
            weights,
            biases,
            x,
            y,
            beta,
            settle(weights, biases, x, y, beta, steps, free),
        )
        return [
            [((a - b) / beta).real for a, b in zip(rest, moved, strict=True)]
            for rest, moved in zip(at_rest, nudged, strict=True)
        ]
    total = None
    for k in range(n_points):
        at = beta * cmath.exp(2j * cmath.pi * k / n_points)
        found = derivatives(
            weights, biases, x, y, at, settle(weights, biases, x, y, at, steps, free)
        )
        found = [[-one / at / n_points for one in part] for part in found]
        total = (
            found
            if total is None
            else [
                [a + b for a, b in zip(one, other, strict=True)]
                for one, other in zip(total, found, strict=True)
            ]
        )
    return [[one.real for one in part] for part in total]


def implicit(weights, biases, x, y, steps):
    """The gradient by one dense linear system: of the loss, through the fixed point, to each weight and each bias."""
    states = [np.array(state).real for state in settle(weights, biases, x, y, 0, steps)]
    matrices = [np.array(weight) for weight in weights]
    sizes = [len(state) for state in states]
    ends = np.cumsum([0, *sizes])
    jacobian = np.zeros((ends[-1], ends[-1]))
    for layer, state in enumerate(states):
        slope = (4 * state * (1 - state))[:, None]
        rows = slice(ends[layer], ends[layer + 1])
        if layer:
            jacobian[rows, ends[layer - 1] : ends[layer]] = slope * matrices[layer]
        if layer + 1 < len(states):
            jacobian[rows, ends[layer + 1] : ends[layer + 2]] = (
                slope * matrices[layer + 1].T
            )
    p = np.array(output(weights[-1], biases[-1], states[-1])).real
    error = p - np.eye(len(p))[y]
    slope = np.zeros(ends[-1])
    slope[ends[-2] :] = matrices[-1].T @ error
    adjoint = np.linalg.solve(np.eye(ends[-1]) - jacobian.T, slope)
    posts = [
        adjoint[ends[layer] : ends[layer + 1]] * 4 * state * (1 - state)
        for layer, state in enumerate(states)
    ] + [error]
    outer = [
        np.outer(post, pre)
        for post, pre in zip(posts, [np.array(x), *states], strict=True)
    ]
    for layer in range(1, len(states)):  # the same weight carries feedback
        outer[layer] += np.outer(states[layer], posts[layer - 1])
    return outer, posts


# -- the potential -----------------------------------------------------------------------------------------------------


def pool(v, size, temperature):
    """Softmax pooling, window by window."""
    rows = []
    for i in range(0, v.shape[2], size):
        windows = [
            v[:, :, i : i + size, j : j + size].flatten(2)
            for j in range(0, v.shape[3], size)
        ]
        shares = [
            torch.exp(w / temperature)
            / torch.exp(w / temperature).sum(-1, keepdim=True)
            for w in windows
        ]
        rows.append(
            torch.stack(
                [(w * s).sum(-1) for w, s in zip(windows, shares, strict=True)], dim=-1
            )
        )
    return torch.stack(rows, dim=2)


def potential(network, x, y, beta, states):
    """Sum over samples, for real or complex states and strength."""
    total, pre = 0, x.to(states[0].dtype)
    for connection, post in zip(network.connections, states, strict=True):
        weight, bias = connection.weight.to(pre.dtype), connection.bias.to(pre.dtype)
        if weight.ndim == 2:
            drive = linear(pre.flatten(1), weight, bias)
        else:
            drive = conv2d(pre, weight, bias, padding=connection.padding)
            if connection.pool is not None:
                drive = pool(drive, connection.pool.size, connection.pool.temperature)
        total = total + (post * drive).sum()
        pre = post
    weight, bias = (
        network.readout.weight.to(pre.dtype),
        network.readout.bias.to(pre.dtype),
    )
    z = linear(pre.flatten(1), weight, bias)
    loss = torch.log(torch.exp(z).sum(1)) - z[torch.arange(len(y)), y]
    return total - (beta * loss).sum()
