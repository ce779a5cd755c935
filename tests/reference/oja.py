"""Oja's rules synapse by synapse, and backpropagation with them layer by layer, as the published code does it."""

import numpy as np


def subspace(weight, pre, post):
    """The mean over rows of y_i x_j - sum_k y_i y_k w_kj."""
    change = np.zeros_like(weight)
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                decay = sum(y[i] * y[k] * weight[k, j] for k in range(len(y)))
                change[i, j] += (y[i] * x[j] - decay) / len(pre)
    return change


def per_neuron(weight, pre, post, signs):
    """The mean over rows of s_j y_i x_j - y_i^2 w_ij."""
    change = np.zeros_like(weight)
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                change[i, j] += (
                    signs[j] * y[i] * x[j] - y[i] ** 2 * weight[i, j]
                ) / len(pre)
    return change


def normalised(rule, weight, pre, post, eps):
    """The mean over rows of a rule's change, each divided by eps + |y|^2."""
    return sum(
        rule(weight, x[None], y[None]) / (eps + sum(value**2 for value in y))
        for x, y in zip(pre, post, strict=True)
    ) / len(pre)


def online_step(weights, x, label, lr, coefficient, feedback=None, sharpness=10):
    """One image: softplus hidden units, softmax at the end; gradient and Oja's rule added up, on every layer."""
    rates = [x]
    for i, w in enumerate(weights):
        z = w @ rates[-1]
        last = i == len(weights) - 1
        rates.append(
            np.exp(z) / np.exp(z).sum()
            if last
            else np.log1p(np.exp(sharpness * z)) / sharpness
        )
    error = rates[-1] - np.eye(len(rates[-1]))[label]
    after = [w.copy() for w in weights]
    for i in reversed(range(len(weights))):
        post, pre = rates[i + 1], rates[i]
        after[i] += -lr * np.outer(error, pre) + coefficient * subspace(
            weights[i], pre[None], post[None]
        )
        back = weights[i] if feedback is None else feedback[i]
        error = (back.T @ error) * (
            1 - np.exp(-sharpness * pre)
        )  # softplus' derivative, told from its rate
    return after
