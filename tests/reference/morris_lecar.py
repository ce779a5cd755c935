"""Morris-Lecar cells and their network as published, step by step; and the slow evolution strategy."""

import copy
import math

import torch


def step(c, v, w, current, dt):
    """The published lines, one after another; or the linearly implicit trapezoidal rule."""
    m_inf = 0.5 * (1 + torch.tanh((v - c.v1) / c.v2))
    w_inf = 0.5 * (1 + torch.tanh((v - c.v3) / c.v4))
    tau = 1 / (c.phi * torch.cosh((v - c.v3) / (2 * c.v4)))
    w = (w_inf * dt + (tau - dt / 2) * w) / (tau + dt / 2)
    g = (c.g_ca * m_inf + c.g_k * w + c.g_l) / c.c
    e = (c.g_ca * m_inf * c.e_ca + c.g_k * w * c.e_k + c.g_l * c.e_l) / c.c
    if c.first_order:
        v = (v * (1 - dt * g / 2) + dt * (e + current / c.c)) / (1 + dt * g / 2)
        return v, w
    # The rate of change of V, and its derivative by V with the derivative of m.
    change = e + current / c.c - g * v
    m_slope = (1 - torch.tanh((v - c.v1) / c.v2) ** 2) / (2 * c.v2)
    by_v = -g - c.g_ca * m_slope * (v - c.e_ca) / c.c
    return v + dt * change / (1 - dt / 2 * by_v), w


def equations(c, current):
    """Right-hand side for scipy, in plain numbers."""

    def derivative(t, y):
        v, w = y
        m_inf = 0.5 * (1 + math.tanh((v - c.v1) / c.v2))
        w_inf = 0.5 * (1 + math.tanh((v - c.v3) / c.v4))
        calcium = c.g_ca * m_inf * (v - c.e_ca)
        rest = c.g_k * w * (v - c.e_k) + c.g_l * (v - c.e_l)
        pace = c.phi * math.cosh((v - c.v3) / (2 * c.v4))
        return [(current - calcium - rest) / c.c, (w_inf - w) * pace]

    return derivative


def network(net, x, state, one_step=step):
    """Every step's output, averaged over the last ``read_ms``."""
    v, w = state
    outputs, dt = [], net.dt_ms
    sent = before = torch.sigmoid((v + 3) / 8)
    for row in x:
        for _ in range(round(net.input_ms / dt)):
            read = sent if net.cell.first_order else 1.5 * sent - 0.5 * before
            current = (
                36.75 * (0.1 + row @ net.weight_ih.T + read @ net.weight_hh.T) + 39.9
            )
            v, w = one_step(net.cell, v, w, current, dt)
            before, sent = sent, torch.sigmoid((v + 3) / 8)
            outputs.append(net.readout(sent))
    return torch.stack(outputs[-round(net.read_ms / dt) :]).mean(0)


def one_by_one(model, loss, args, noise, antithetic, sigma):
    """Gradient and losses of members that are run one after another."""
    signs = [1, -1] if antithetic else [1]
    losses = []
    for sign in signs:
        for s in range(len(next(iter(noise.values())))):
            member = copy.deepcopy(model)
            with torch.no_grad():
                for name, parameter in member.named_parameters():
                    if name in noise:
                        parameter += sign * noise[name][s]
                losses.append(loss(member, *args))
    losses = torch.stack(losses)
    n = len(losses) // len(signs)
    scores = losses[:n] - losses[n:] if antithetic else losses
    gradient = {
        name: sum(scores[s] * drawn[s] for s in range(n)) / (len(losses) * sigma**2)
        for name, drawn in noise.items()
    }
    return gradient, losses
