"""Rate equations as papers print them, each as a plain loop over time steps."""

import torch


def yang(inputs, w, w_in, b, dt, tau, noise):
    """Run Yang et al. 2019: the leak stands outside of the nonlinearity, the noise inside."""
    a = dt / tau
    r, rates = torch.zeros(inputs.shape[1], len(w), dtype=inputs.dtype), []
    for u, xi in zip(inputs, noise, strict=True):
        r = (1 - a) * r + a * torch.relu(r @ w.T + u @ w_in.T + b + (2 / a) ** 0.5 * xi)
        rates.append(r)
    return torch.stack(rates)


def masse(inputs, w, w_in, b, h0, dt, tau, tau_u, tau_x, use, noise):
    """Run Masse et al. 2019: both synaptic variables first, then the rectified rate."""
    a, seconds = dt / tau, dt / 1000
    h = h0.expand(inputs.shape[1], -1)
    x, u = torch.ones_like(h), use.expand_as(h)
    rates, efficacies = [], []
    for v, xi in zip(inputs, noise, strict=True):
        x_next = x + dt / tau_x * (1 - x) - seconds * u * x * h
        u_next = u + dt / tau_u * (use - u) + seconds * use * (1 - u) * h
        x, u = x_next.clamp(0, 1), u_next.clamp(0, 1)
        post = u * x * h
        h = torch.relu(
            (1 - a) * h + a * (v @ w_in.T + post @ w.T + b) + (2 * a) ** 0.5 * xi
        )
        rates.append(h)
        efficacies.append(u * x)
    return torch.stack(rates), torch.stack(efficacies)


def adapting(inputs, w, w_in, b, dt, tau, taus, strengths):
    """Run a leaky circuit with adaptation currents: r = f(x - sum of c_k a_k)."""
    x = torch.zeros(inputs.shape[1], len(w), dtype=inputs.dtype)
    currents = [torch.zeros_like(x) for _ in taus]
    rates = []

    def fire():
        held = x
        for c, current in zip(strengths, currents, strict=True):
            held = held - c * current
        return torch.relu(held)

    for u in inputs:
        r = fire()
        x = x + dt / tau * (-x + r @ w.T + u @ w_in.T + b)
        currents = [
            a + dt / tau_a * (r - a) for tau_a, a in zip(taus, currents, strict=True)
        ]
        rates.append(fire())
    return torch.stack(rates)
