"""A circuit of one excitatory and one inhibitory unit, whose behaviour is known in closed form."""

import torch

from daleml import Populations
from daleml.layers import EIRNN

ALPHA = 0.1


def pair(w_ee, w_ei, w_ie, w_ii, drive=(0.0, 0.0), f="relu", leak=True, **options):
    """Build it: ``x <- (1 - a) x + a (W f(x) + drive)``, all weights magnitudes."""
    times = {"dt_ms": 10 * ALPHA, "tau_ms": 10.0} if leak else {}
    rnn = EIRNN(1, Populations(1, 1), nonlinearity=f, autapses=True, **times, **options)
    rnn = rnn.double()
    with torch.no_grad():
        weights = [[w_ee, -w_ei], [w_ie, -w_ii]]
        rnn.weight_hh_l0.copy_(torch.tensor(weights, dtype=torch.float64))
        rnn.weight_ih_l0.fill_(1.0)
        rnn.bias_ih_l0.copy_(torch.tensor(drive, dtype=torch.float64))
        rnn.bias_hh_l0.zero_()
    return rnn
