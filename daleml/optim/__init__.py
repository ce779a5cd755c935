"""Optimisers that respect signs.

=================  ================================================================================================
``EG``             exponentiated gradient: no weight changes sign, each moves in proportion to itself
``EGAdamW``        the same along AdamW's direction
``MirrorDescent``  the step in the dual coordinate of any potential; EG is the case of the negative entropy
``Stuck``          what ``optimizer.stuck()`` returns: how many weights lie at zero or at the floor
``enforce``        a guard that keeps Dale's law under any other torch optimiser
``param_groups``   what goes to EG and what to SGD or AdamW, with learning rates by role; prints with counts
``split_bias_``    biases that EG can carry through zero; ``merge_bias_`` undoes it
``Projection``     the guard, an ``abs`` reparametrisation and EG on one interface, to swap and compare: with
                   ``Reparametrization`` and ``Exponentiation``
``functional``     the update rules as functions of tensors
=================  ================================================================================================
"""

from daleml.optim import update_lists as functional
from daleml.optim.dead_weights import Stuck
from daleml.optim.eg import EG, EGAdamW
from daleml.optim.enforcement import enforce
from daleml.optim.mechanisms import Exponentiation, Projection, Reparametrization
from daleml.optim.mirror import MirrorDescent
from daleml.optim.parameter_groups import ParamGroups, param_groups
from daleml.optim.split_biases import merge_bias_, split_bias_

__all__ = [
    "EG",
    "EGAdamW",
    "Exponentiation",
    "MirrorDescent",
    "ParamGroups",
    "Projection",
    "Reparametrization",
    "Stuck",
    "enforce",
    "functional",
    "merge_bias_",
    "param_groups",
    "split_bias_",
]
