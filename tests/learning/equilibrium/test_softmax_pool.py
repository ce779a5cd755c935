"""Softmax pooling is between the maximum and the mean."""

import torch

from daleml.learning import (
    SoftmaxPool,
)
from tests.learning.equilibrium.settling_networks import F64
from tests.reference import equilibrium as twin


def test_softmax_pooling_goes_from_the_maximum_to_the_mean_and_back_by_its_jacobian():
    v = torch.randn(2, 3, 6, 6, dtype=F64)
    torch.testing.assert_close(
        SoftmaxPool(2, 1e-3)(v), torch.nn.functional.max_pool2d(v, 2), atol=1e-2, rtol=0
    )
    torch.testing.assert_close(
        SoftmaxPool(3, 1e9)(v), torch.nn.functional.avg_pool2d(v, 3), atol=1e-6, rtol=0
    )
    z = torch.complex(v, torch.randn_like(v)).requires_grad_()
    torch.testing.assert_close(SoftmaxPool(2, 0.7)(z), twin.pool(z, 2, 0.7))
    signal = torch.randn(2, 3, 3, 3, dtype=torch.complex128)
    pooled, back = SoftmaxPool(2, 0.7).transposed(z, signal)
    # torch's derivatives of holomorphic functions are conjugated
    expected = torch.autograd.grad(twin.pool(z, 2, 0.7), z, signal.conj())[0].conj()
    torch.testing.assert_close(pooled, twin.pool(z, 2, 0.7))
    torch.testing.assert_close(back, expected)
