"""Dale's ANN, unit by unit, as the paper writes it."""


def dann(x, weight_ex, weight_ix, weight_ei, bias, alpha=None, gain=None, eps=None):
    """One example: `x` is (pre,), all arguments float64 tensors."""
    rates = [
        sum(weight_ix[k, j] * x[j] for j in range(len(x)))
        for k in range(len(weight_ix))
    ]
    out = []
    for i in range(len(weight_ex)):
        excitation = sum(weight_ex[i, j] * x[j] for j in range(len(x)))
        inhibition = sum(weight_ei[i, k] * rate for k, rate in enumerate(rates))
        z = excitation - inhibition
        if alpha is not None:
            shunt = sum(
                weight_ei[i, k] * alpha[k].exp() * rate for k, rate in enumerate(rates)
            )
            z = gain[i] * z / max(shunt, eps)
        out.append(z + bias[i])
    return out
