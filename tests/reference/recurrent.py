"""Recurrent circuits written step by step, unit by unit of the equation, from a module's parameters alone."""

import torch
from torch.nn import functional as F

from daleml.layers import EIRNN


def matrix(rnn, path):
    """The weight of a path, composed as the equation says."""
    if isinstance(rnn, EIRNN):
        weight = getattr(rnn, f"weight_{path}")
        present = getattr(rnn, f"weight_{path}_present", torch.ones_like(weight))
        return weight * present
    wex, wix, wei = (
        getattr(rnn, f"weight_{part}_{path}") for part in ("ex", "ix", "ei")
    )
    return (
        wex * getattr(rnn, f"weight_ex_{path}_present", torch.ones_like(wex))
        - wei @ wix
    )


def shunted(rnn, path, x):
    """Excitation less inhibition, and the shunt, of one path."""
    wix, wei = getattr(rnn, f"weight_ix_{path}"), getattr(rnn, f"weight_ei_{path}")
    alpha = getattr(rnn, f"alpha_{path}")
    return x @ matrix(rnn, path).T, (x @ wix.T) @ (wei * torch.exp(alpha)).T


def circuit(rnn, x, generator=None):
    """Run (time, batch, inputs) through every layer; returns the last layer's rates and every layer's last state."""
    f = {"relu": F.relu, "tanh": torch.tanh, "softplus": F.softplus}.get(
        rnn.nonlinearity, rnn.nonlinearity
    )
    alpha = 1.0 if rnn.leak is None else rnn.leak
    lasts = []
    for layer in range(rnn.num_layers):
        shape = x.shape[1], rnn.hidden_size
        bias = (
            getattr(rnn, f"bias_ih_l{layer}") + getattr(rnn, f"bias_hh_l{layer}")
            if rnn.bias
            else 0.0
        )
        state = getattr(
            rnn, f"initial_state_l{layer}", torch.zeros(shape, dtype=x.dtype)
        ).expand(shape)
        noise = torch.zeros(len(x), *shape, dtype=x.dtype)
        if rnn.noise and rnn.training:
            drawn = torch.randn(
                len(x) * shape[0], shape[1], dtype=x.dtype, generator=generator
            )
            noise = ((2 * alpha) ** 0.5 * rnn.noise * drawn).view_as(noise)
        rates = state if rnn.leak is None else f(state)
        outputs = []
        for now, jolt in zip(x, noise, strict=True):
            if getattr(rnn, "shunting", False):
                net_u, shunt_u = shunted(rnn, f"ih_l{layer}", now)
                net_w, shunt_w = shunted(rnn, f"hh_l{layer}", rates)
                gain = getattr(rnn, f"gain_l{layer}")
                received = (
                    gain * (net_u + net_w) / torch.clamp(shunt_u + shunt_w, min=rnn.eps)
                    + bias
                )
            else:
                received = (
                    now @ matrix(rnn, f"ih_l{layer}").T
                    + rates @ matrix(rnn, f"hh_l{layer}").T
                    + bias
                )
            state = (
                f(received + jolt)
                if rnn.leak is None
                else (1 - alpha) * state + alpha * received + jolt
            )
            rates = state if rnn.leak is None else f(state)
            outputs.append(rates)
        x = torch.stack(outputs)
        lasts.append(state)
    return x, torch.stack(lasts)
