r"""Potentials: the convex functions that give mirror descent its geometry.

Mirror descent takes its step in the dual coordinate :math:`\nabla\phi(w)` of a potential
:math:`\phi`,

.. math:: \nabla\phi(w_{t+1}) = \nabla\phi(w_t) - \eta\, g .

=====================  ========================================  ==============================
potential              :math:`\phi(w)`, summed over the weights  its descent
=====================  ========================================  ==============================
``Euclidean``          :math:`\tfrac12 w^2`                      gradient descent
``PNorm(p)``           :math:`\tfrac1p |w|^p`                    from sparse (p near 1) to spread
``HyperbolicEntropy``  :math:`w \operatorname{arsinh}(w/\beta)   between the two beside it
                       - \sqrt{w^2+\beta^2}`
``NegativeEntropy``    :math:`|w| \ln |w|`                       exponentiated gradient, lawful
=====================  ========================================  ==============================

Only under the negative entropy can no weight change sign. All four act weight by weight, on
tensors of any shape.

A potential of your own is a subclass of :class:`Potential`, or of one of these: whatever method
it overrides, ``MirrorDescent`` follows it, on whole tensors. Its parameters are best the fields
of a frozen dataclass.
"""

from daleml.potentials.entropies import HyperbolicEntropy, NegativeEntropy
from daleml.potentials.norms import Euclidean, PNorm
from daleml.potentials.plain_data import from_dict, is_plain
from daleml.potentials.potential import Potential

__all__ = [
    "Euclidean",
    "HyperbolicEntropy",
    "NegativeEntropy",
    "PNorm",
    "Potential",
    "from_dict",
    "is_plain",
]

# A potential is called by this name in messages and in pickles, wherever its file is.
for _kind in (Euclidean, HyperbolicEntropy, NegativeEntropy, PNorm, Potential):
    _kind.__module__ = __name__
