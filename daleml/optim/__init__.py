"""Optimisers that respect signs.

=================  =================================================================================
``EG``             exponentiated gradient: no weight changes sign, each moves in proportion to
                   itself
``EGAdamW``        the same along AdamW's direction
``MirrorDescent``  the step in the dual coordinate of any potential, of which EG is one case
``Stuck``          how many weights lie at zero or at the floor: ``optimizer.stuck()`` returns it
``enforce``        a guard that keeps Dale's law under any other torch optimiser
``param_groups``   what goes to EG and what to SGD or AdamW, with learning rates by role
``split_bias_``    biases that EG can carry through zero; ``merge_bias_`` undoes it
``Projection``     the guard, behind the interface that it shares with ``Reparametrization`` (an
                   ``abs`` of a free parameter) and ``Exponentiation`` (EG), to compare them
``functional``     the update rules as functions of lists of tensors
=================  =================================================================================

The rules themselves, each on one screen, are in :mod:`daleml.optim.rules`. What makes them fast
is in the folder ``_fast``, and is chosen in its file ``forms.py``.
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
