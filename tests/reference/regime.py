"""Kernels the slow way: one output at a time by autograd, every row of the Jacobian held."""

import torch


def jacobian(function, weights):
    """Rows: outputs of ``function()``; columns: the weights, one after the other."""
    rows = []
    for value in function().flatten():
        found = torch.autograd.grad(
            value, weights, retain_graph=True, allow_unused=True
        )
        rows.append(
            torch.cat(
                [
                    torch.zeros(w.numel()) if g is None else g.flatten()
                    for w, g in zip(weights, found, strict=True)
                ]
            )
        )
    return torch.stack(rows)


def alignment(old, new):
    """Of two matrices with one row a probe or output: the cosine between their Gram matrices."""
    before, after = old @ old.T, new @ new.T
    return float((before * after).sum() / (before.norm() * after.norm()))
