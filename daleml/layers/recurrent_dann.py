"""The recurrent Dale's ANN: excitatory units, and interneurons that act within a time step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from daleml import require
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers._recurrent.circuit_options import DANNOptions
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.sequence_interface import Recurrent
from daleml.layers._recurrent.sizes import DANN_FIXED, dann_parts
from daleml.layers._shared.checked_attributes import AttributeCheck


@lists_options(DANNOptions)
class DANNRNN(Recurrent):
    r"""A recurrent circuit of excitatory units, with feed-forward inhibition (Dale's ANN).

    Inhibition acts between time steps,

    .. math::
        r_t = f\bigl((U_{ex} - U_{ei} U_{ix}) u_t + (W_{ex} - W_{ei} W_{ix}) r_{t-1}
        + b_{ih} + b_{hh}\bigr)

    and, with shunting inhibition, with :math:`\hat z_t` the sum of both products and :math:`b`
    of both biases,

    .. math::
        r_t = f\Bigl(\frac{g}{\gamma_t} \odot \hat z_t + b\Bigr), \qquad
        \gamma_t = \max\bigl((U_{ei} \odot e^{\alpha_u}) U_{ix} u_t
        + (W_{ei} \odot e^{\alpha_w}) W_{ix} r_{t-1},\; \epsilon\bigr).

    All six matrices and :math:`g` are non-negative; the minus is structure. Interneurons are
    linear and act within the step. What keeps the law while it learns is the optimiser, ``EG``
    or any other under ``optim.enforce``.

    Args:
        input_size: Number of inputs, all excitatory.
        hidden_size: Number of excitatory units of each layer.
        n_inh: Number of interneurons of each path, from the input and between time steps;
            default: a tenth of the units, at least 1.
        num_layers: Number of layers; each reads the rates of the one before.
        nonlinearity: ``"relu"``, ``"tanh"``, ``"softplus"``, or a function of a tensor, which
            makes rates of states.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``.
        batch_first: Whether batched input and output are (batch, time, ...) instead of (time,
            batch, ...).
        dropout: Probability of dropping a rate between layers while training.
        bidirectional: Must be False, since a circuit does not run backwards.
        options: Options of a circuit, by keyword.

    Shape:
        Input, ``hx``, output and ``h_n`` as in :class:`EIRNN`. For each layer k and path p,
        ``ih`` or ``hh``: weight_ex_[p]_l[k] (units, inputs), weight_ix_[p]_l[k] (n_inh,
        inputs), weight_ei_[p]_l[k] (units, n_inh), and with shunting alpha_[p]_l[k] (n_inh,)
        and gain_l[k] (units,).

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a size, mask, time constant or option is impossible.
        RuntimeError: From a call with an input or ``hx`` of the wrong shape, in the words of
            ``nn.RNN``.

    Example:
        >>> import torch
        >>> rnn = DANNRNN(28, 100, n_inh=10, batch_first=True)
        >>> output, h_n = rnn(torch.rand(32, 28, 28))
        >>> output.shape, h_n.shape
        (torch.Size([32, 28, 100]), torch.Size([1, 32, 100]))
        >>> rnn.effective_weights()[0].recurrent.shape
        torch.Size([100, 100])

    Notes:
        - The third argument is ``n_inh``, where that of ``nn.RNN`` is ``num_layers``.
        - Inputs should be non-negative. The effective weights are composed once a sequence;
          with shunting, which depends on the rates, every step goes through the interneurons,
          by a loop.
        - What divides a unit is all the inhibition it receives, of both paths, floored at
          ``eps`` as in :class:`DANNLinear`: a silent circuit divides by ``eps``, and each
          step's derivatives are bounded. Above the floor a shunting circuit does not see the
          scale of its rates, so without input it need not fall silent, and the effective
          weight, which leaves out the division, tells little of its stability.
        - ``weight_ix`` and ``weight_ei`` declare smaller learning rates, as in
          :class:`DANNLinear`, which ``optim.param_groups`` applies: :math:`1/\sqrt N` and one
          over the number of the path's inputs, and ``alpha`` their product.
        - Initialised by ``layers.init.dann_`` with the variance of ``nn.RNN``'s weights, 1 / (3
          N) on both paths, so that the effective weight starts with the spectrum of an
          unconstrained network's, to which Li et al. ascribe that it learns like one.

    References:
        Li, Cornford, Ghosh & Richards 2023 (NeurIPS), for the subtractive circuit; Cornford et
        al. 2021 (ICLR), for the shunt, whose recurrent form is ours.
    """

    _closed = True

    _fixed = Recurrent._fixed | DANN_FIXED
    _told = (*Recurrent._told, "eps")
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {
        **Recurrent._checked,
        "eps": require.positive,
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_inh: int | None = None,
        num_layers: int = 1,
        nonlinearity: str | Nonlinearity = "relu",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **options: Unpack[DANNOptions],
    ) -> None:
        given = completed(DANNRNN, options_of(DANNOptions), options)
        inputs, units, wiring = dann_parts(input_size, hidden_size, n_inh, given)
        as_nn_rnn = num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        super().__init__(wiring, inputs, units, *as_nn_rnn, given)
        self.n_inh, self.shunting = wiring.n_inh, wiring.shunting
        self.eps = given["eps"]

    def _describe_units(self) -> str:
        return f"{self.hidden_size}, n_inh={self.n_inh}, shunting={self.shunting}"
