"""Recurrent layers that keep Dale's law, each a drop-in for ``nn.RNN`` or ``nn.RNNCell``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from daleml import require
from daleml._support import signed_edges
from daleml._support.shared_options import completed, lists_options, options_of
from daleml._support.signed_edges import GraphLike
from daleml.layers import init
from daleml.layers._recurrent import node_options
from daleml.layers._recurrent.circuit_options import ColumnEIOptions, DANNOptions
from daleml.layers._recurrent.column_ei_wiring import ColumnEI, starting_radius
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.sequence_interface import Recurrent
from daleml.layers._recurrent.sizes import DANN_FIXED, dann_parts, partition, sizes
from daleml.layers._shared.checked_attributes import AttributeCheck
from daleml.layers.recurrent_cells import DANNRNNCell as DANNRNNCell
from daleml.layers.recurrent_cells import EIRNNCell as EIRNNCell
from daleml.populations import Populations


@lists_options(ColumnEIOptions)
class EIRNN(Recurrent):
    r"""A recurrent circuit ("column EI") of units of both signs, called like ``nn.RNN``.

    .. math:: r_t = f(U u_t + b_{ih} + W r_{t-1} + b_{hh})

    and, with a leak, where the rates are those of a state :math:`x` that decays with the time
    constant :math:`\tau`,

    .. math::
        x_t = (1 - \alpha)\, x_{t-1} + \alpha\, (U u_t + b_{ih} + W r_{t-1} + b_{hh})
        + \sqrt{2 \alpha}\, \sigma \xi_t, \qquad r_t = f(x_t), \qquad \alpha = dt / \tau .

    The sign of column :math:`j` of :math:`W` is that of unit :math:`j`: :math:`s_j W_{ij} \ge
    0`. What keeps the law while it learns is the optimiser, ``EG`` or any other under
    ``optim.enforce``.

    Args:
        input_size: The inputs of the first layer: a partition, or an int for as many excitatory
            ones.
        hidden_size: The units of every layer: a partition, such as ``Populations.split(100)``,
            a fifth of which inhibits; an int is read as that many excitatory ones, with a
            warning.
        num_layers: Number of layers; each reads the rates of the one before.
        nonlinearity: ``"relu"``, ``"tanh"``, ``"softplus"``, or a function of a tensor. Rates
            should not be negative, since the sign of a synapse means nothing for a negative
            rate; ``"tanh"`` is there for comparison.
        bias: Whether to learn ``bias_ih`` and ``bias_hh``, which have no sign to keep.
        batch_first: Whether batched input and output are (batch, time, ...) instead of (time,
            batch, ...).
        dropout: Probability of dropping a rate between layers while training.
        bidirectional: There so that ``nn.RNN`` can be replaced by name; must be False, since a
            circuit does not run backwards.
        options: Options of a circuit, by keyword.

    Shape:
        - input: (time, batch, input_size), or (batch, time, input_size) with ``batch_first``,
          or (time, input_size), or a ``PackedSequence``;
        - hx: (num_layers, batch, units), or (num_layers, units);
        - output: rates of the last layer, like the input; h_n: the last state of every layer,
          like ``hx``;
        - weight_ih_l[k] (units, inputs), weight_hh_l[k] (units, units), bias_ih_l[k] and
          bias_hh_l[k] (units,), and with ``train_initial_state`` initial_state_l[k] (units,).

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a size, mask, time constant or option is impossible.
        RuntimeError: From a call with an input or ``hx`` of the wrong shape, in the words of
            ``nn.RNN``.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear
        >>> pops = Populations(80, 20)
        >>> rnn = EIRNN(3, pops, dt_ms=20, tau_ms=100, noise=0.05, mask=0.2)
        >>> rates, state = rnn(torch.rand(50, 16, 3))
        >>> rates.shape, state.shape
        (torch.Size([50, 16, 100]), torch.Size([1, 16, 100]))
        >>> readout = EILinear(pops, 2, excitatory_only=True)
        >>> readout(rates).shape
        torch.Size([50, 16, 2])

    Notes:
        - Without a leak the state is the rate, and output and ``h_n`` are those of ``nn.RNN``.
          With one, ``h_n`` and ``hx`` are :math:`x`, so that a sequence cut in two continues
          where it was; ``rnn.rates(h_n)`` are its rates.
        - Noise from a ``generator`` is drawn anew where ``torch.utils.checkpoint`` runs a
          circuit twice: torch restores its global source of randomness only. Do not change the
          output in place before ``backward``.
        - The names of parameters are those of ``nn.RNN``, whose units may have synapses onto
          themselves: a checkpoint of one loads into a circuit built with ``autapses=True`` if
          it is lawful. The two biases add up, so gradient descent moves their sum twice as fast
          as it would one.
        - ``dt_ms``, ``tau_ms``, ``leak``, ``noise``, ``noise_in_eval``, ``nonlinearity``,
          ``generator``, ``batch_first`` and ``dropout`` may be set at any time, and are obeyed:
          train at ``dt_ms=20``, then set ``rnn.dt_ms = 2`` to run the same circuit in finer
          steps. ``input_mean`` and ``spectral_radius`` are used by ``reset_parameters``. Sizes
          and populations cannot be set. ``tau_ms`` or ``leak`` (:math:`\alpha`, a fraction in
          (0, 1]) may be a tensor with a gradient, or an ``nn.Parameter``, which is learned.
        - With ``train_tau`` it is a parameter ``tau_log`` that learns,
          :math:`\tau = dt + (\tau_0 - dt)\, e^{\theta}` with :math:`\theta` from 0 on, so that
          time constants begin at ``tau_ms`` exactly and stay above ``dt_ms``. All layers have the
          same ones; ``rnn.tau_ms`` reads them, and setting it begins anew. Setting ``dt_ms``
          changes neither them nor the parameter. ``optim.param_groups(model, lr, tau_lr=...)``
          gives them, by gradient descent, a learning rate of their own; weight decay pulls them
          to where they began. They run by the loop, not the fused path.
        - A checkpoint holds ``tau_ms`` and is refused by a circuit of another; ``dt_ms`` may
          differ. It tells the nonlinearity in its metadata, and another one warns; noise is no
          part of it. What keeps tensors alone, as safetensors does, loses the metadata; what
          does not say ``tau_ms`` warns. A cast changes the precision of parameters and not the
          time constants.
        - ``torch.func.stack_module_state`` stacks tensors alone: circuits of an ensemble must
          have the same settings, but for time constants that are given one for each unit.
        - Initialised as a circuit balanced on average (``layers.init.column_ei_``).
          ``layers.init.balance_rows_`` balances every unit, which a structured mask may need,
          and ``spectral_radius_`` sets another radius.

    References:
        Song, Yang & Wang 2016 (PLoS Computational Biology), for the circuit; Li, Cornford,
        Ghosh & Richards 2023 (NeurIPS), for its initialisation.
    """

    _closed = True

    nodes: tuple[Hashable, ...] | None = None
    """The nodes of the graph it was built from, unit by unit."""

    def __init__(
        self,
        input_size: int | Populations,
        hidden_size: Populations | int,
        num_layers: int = 1,
        nonlinearity: str | Nonlinearity = "relu",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **options: Unpack[ColumnEIOptions],
    ) -> None:
        given = completed(EIRNN, options_of(ColumnEIOptions), options)
        inputs, units = sizes("input_size", input_size), partition(hidden_size)
        as_nn_rnn = num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        super().__init__(ColumnEI(), inputs, units, *as_nn_rnn, given)

    @classmethod
    def from_graph(
        cls,
        graph: GraphLike,
        input_size: int | Populations,
        *,
        drop_minority: bool = False,
        weight: str | None = signed_edges.WEIGHT,
        **options: Any,
    ) -> EIRNN:
        """Build the circuit of a connectome: its neurons, signs, synapses and strengths.

        Args:
            graph: A networkx ``DiGraph``, each edge from the sender to the receiver; or what
                has a method ``graph`` that gives one, such as a connectome. A node's sign is
                its attribute ``sign`` (+1 or -1), or that of the edges it sends, and both if
                they agree; the magnitudes of the edges' ``weight`` (1 where an edge has neither
                that nor another number) are the weights' initial proportions, scaled to a
                spectral radius of ``spectral_radius``. ``reset_parameters`` draws strengths
                anew, and forgets them.
            input_size: As in the class.
            drop_minority: Whether, where a neuron sends edges of both signs, to leave out those
                of the sign with the lesser total weight, instead of refusing the graph.
            weight: Name of the attribute of edges that holds their strengths, where it is not
                "weight"; None to take every edge as 1.
            options: Further arguments of the class. Those with a value for each unit go by
                node: ``tau_ms={"L1": 20, ...}``, a value for every node; ``input_mask={"R1":
                [True, False], ...}``, a row for every node that receives input. A sequence, or
                a matrix, is taken in the order of the nodes, and refused where the circuit has
                to change that order.

        Returns:
            An ``EIRNN``, excitatory neurons first; ``rnn.nodes`` names them, unit by unit.

        Raises:
            TypeError: If ``graph`` is no digraph.
            ValueError: If a sign is unknown, a neuron sends both, a strength is missing, or an
                option for each unit does not fit the nodes.

        Example:
            >>> from daleml.datasets import fly_visual
            >>> rnn = EIRNN.from_graph(fly_visual(), input_size=8, drop_minority=True)
            >>> rnn.populations
            Populations(n_exc=40, n_inh=25)
            >>> rnn.nodes[:4]
            ('L2', 'L3', 'L4', 'L5')
        """
        for name in ("hidden_size", "mask"):
            if name in options:
                raise TypeError(
                    f"`{name}` must be left out, since the graph says it; got"
                    f" {options[name]!r}."
                )
        signed, nodes, n_exc = signed_edges.signed_nodes(
            graph, drop_minority=drop_minority, weight=weight
        )
        # The circuit puts excitatory nodes first; options by node have to follow.
        listed = list(signed)
        if "tau_ms" in options:
            options["tau_ms"] = node_options.per_unit(
                "tau_ms", options["tau_ms"], nodes, listed
            )
        if "input_mask" in options:
            n_inputs = sizes("input_size", input_size).size
            options["input_mask"] = node_options.rows(
                "input_mask", options["input_mask"], n_inputs, nodes, listed
            )
        # The same graph, its nodes in the order of the units.
        ordered = type(signed)()
        ordered.add_nodes_from((node, signed.nodes[node]) for node in nodes)
        ordered.add_edges_from(signed.edges(data=True))
        populations = Populations(n_exc, len(nodes) - n_exc)
        circuit = cls(input_size, populations, mask=ordered, **options)
        circuit.nodes = tuple(nodes)
        column_signs = populations.signs(device="cpu", dtype=torch.float64)
        # An edge's sign is that of its sender, so magnitudes are all that it adds.
        strengths = signed_edges.strengths(ordered, nodes, weight) * column_signs
        circuit._take_strengths(strengths)
        return circuit

    @torch.no_grad()
    def _take_strengths(self, strengths: Tensor) -> None:
        """Set every recurrent weight to given strengths, at the spectral radius of a start."""
        for name, parameter in self.named_parameters():
            # The graph says nothing of the input's weights.
            if not name.startswith("weight_hh") or parameter.is_meta:
                continue
            present = getattr(self, f"{name}_present", None)
            scaled = strengths.clone()
            if present is not None:
                scaled *= present.cpu()
            if init.has_loop(scaled):
                init.spectral_radius_(scaled, starting_radius(self))
            parameter.copy_(scaled)
            if not parameter.isfinite().all():
                raise ValueError(
                    f"`graph` must have weights in the range of {parameter.dtype};"
                    " got some beyond it."
                )


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
