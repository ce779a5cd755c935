"""Recurrent layers that keep Dale's law, each a drop-in for ``nn.RNN`` or ``nn.RNNCell``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, Unpack

from torch import Tensor

from daleml._support.digraph_edges import GraphLike
from daleml._support.shared_options import completed, lists_options, options_of
from daleml._support.signed_edges import WEIGHT
from daleml.layers._recurrent import given_matrix, given_wiring
from daleml.layers._recurrent.circuit_options import ColumnEIOptions
from daleml.layers._recurrent.column_ei_wiring import starting_radius
from daleml.layers._recurrent.given_wiring import CellTypes
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.sequence_interface import Recurrent
from daleml.layers._recurrent.sizes import partition, sizes
from daleml.layers._recurrent.sparse_column_ei import SparseColumnEI
from daleml.layers._recurrent.starting_activity import contain
from daleml.layers.recurrent_cells import DANNRNNCell as DANNRNNCell
from daleml.layers.recurrent_cells import EIRNNCell as EIRNNCell
from daleml.layers.recurrent_dann import DANNRNN as DANNRNN
from daleml.populations import Populations


@lists_options(ColumnEIOptions)
class EIRNN(Recurrent):
    r"""A recurrent circuit ("column EI") of units of both signs, called like ``nn.RNN``.

    .. math:: r_t = f(U u_t + b_{ih} + W r_{t-1} + b_{hh})

    and, with a leak, where the rates are those of a state :math:`x` that decays with the time
    constant :math:`\tau`,

    .. math::
        x_t &= (1 - \alpha)\, x_{t-1} + \alpha\, (U u_t + b_{ih} + W r_{t-1} + b_{hh})
        + \sqrt{2 \alpha}\, \sigma \xi_t, \\
        r_t &= f(x_t), \qquad \alpha = dt / \tau .

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
        - hx: (num_layers, batch, units), or (num_layers, units); under ``dynamics`` with other
          variables, ``rnn.state_names``, these lie behind in the last dimension;
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
        >>> from daleml.layers import Readout
        >>> pops = Populations(80, 20)
        >>> rnn = EIRNN(3, pops, dt_ms=20, tau_ms=100, noise=0.05, mask=0.2)
        >>> rates, state = rnn(torch.rand(50, 16, 3))
        >>> rates.shape, state.shape
        (torch.Size([50, 16, 100]), torch.Size([1, 16, 100]))
        >>> model = torch.nn.Sequential(rnn, Readout(pops, 2))
        >>> model(torch.rand(50, 16, 3)).shape
        torch.Size([50, 16, 2])

    Notes:
        - ``dynamics``, see :mod:`daleml.layers.dynamics`, takes the place of the leak above: a
          leak of the rate, adaptation, synapses that facilitate and depress, or your own.
          ``rnn.rates(state)`` are then the rates, ``rnn.transmitted(state)`` what units send.
        - ``layers.silence``, ``drive``, ``silence_pathway`` and ``lesion`` perturb a circuit inside
          a ``with`` block.
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
          ``dynamics``, ``generator``, ``batch_first`` and ``dropout`` may be set at any time,
          and are obeyed: train at ``dt_ms=20``, then set ``rnn.dt_ms = 2`` to run the same
          circuit in finer steps. ``input_mean`` and ``spectral_radius`` are used by
          ``reset_parameters``. Sizes and populations cannot be set. ``tau_ms`` or ``leak``
          (:math:`\alpha`, a fraction in (0, 1]) may be a tensor with a gradient, or an
          ``nn.Parameter``, which is learned.
        - With ``train_tau`` it is a parameter ``tau_log`` that learns,
          :math:`\tau = dt + (\tau_0 - dt)\, e^{\theta}` with :math:`\theta` from 0 on, so that
          time constants begin at ``tau_ms`` exactly and stay above ``dt_ms``. All layers have the
          same ones; ``rnn.tau_ms`` reads them, and setting it begins anew. Setting ``dt_ms``
          changes neither them nor the parameter. ``optim.param_groups(model, lr, tau_lr=...)``
          gives them, by gradient descent, a learning rate of their own; weight decay pulls them
          to where they began.
        - A checkpoint holds ``tau_ms`` and the numbers of dynamics, and is refused by a circuit
          of others; ``dt_ms`` may differ. It tells the nonlinearity in its metadata, and
          another one warns; noise is no part of it. What keeps tensors alone, as safetensors
          does, loses the metadata; what does not say ``tau_ms`` warns. A cast changes the
          precision of parameters and not the time constants.
        - ``torch.func.stack_module_state`` stacks tensors alone, and the first circuit of an
          ensemble stands for all: they may differ in time constants that learn, or are given
          one for each unit; others that differ in settings are refused when they run.
        - Initialised as a circuit balanced on average (``layers.init.column_ei_``), whose
          activity neither explodes nor dies between layers: where the rates of rectified units
          would grow (``layers.init.rectified_radius``), the recurrent weight is scaled down,
          and where a layer would not excite the one above, its inhibition is weakened. A
          spectral radius that is asked for is kept. Under a mask that says which units are
          connected (a matrix, a graph or :class:`Blocks`) every unit that receives both signs
          starts with an inhibition equal to its excitation, unless ``strength`` says how strong
          pathways are, or a layer had to be woken. ``layers.init.balance_rows_`` does that for
          any circuit.
        - Fixed synapses keep their strengths under every optimiser, guarded or not: the circuit
          acts by a buffer of them. The parameter shows them too, where weight decay without a
          guard may move what is shown; ``signs.check`` tells it, and ``signs.project_`` puts it
          back. They are cast, saved and loaded with the weights.

    References:
        Song, Yang & Wang 2016 (PLoS Computational Biology), for the circuit; Li, Cornford,
        Ghosh & Richards 2023 (NeurIPS), for its initialisation.
    """

    _closed = True

    nodes: tuple[Hashable, ...] | None = None
    """The nodes of the graph it was built from, unit by unit."""
    order: Tensor | None = None
    """Unit ``k`` is the given unit ``order[k]``, of a graph's nodes or a matrix's rows."""
    n_dropped: int = 0
    """How many of the synapses given were left out by ``drop_minority``."""

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
        super().__init__(SparseColumnEI(), inputs, units, *as_nn_rnn, given)

    @classmethod
    def from_graph(
        cls,
        graph: GraphLike | Any,
        input_size: int | Populations,
        *,
        drop_minority: bool = False,
        weight: str | None = WEIGHT,
        population: CellTypes | Sequence[str] = None,
        rows: Literal["post", "pre"] | None = None,
        columns: Mapping[str, str] | None = None,
        signs: Mapping[str, int] | None = None,
        **options: Any,
    ) -> EIRNN:
        """Build the circuit of a connectome: its neurons, signs, synapses and strengths.

        Args:
            graph: A networkx ``DiGraph``, each edge from the sender to the receiver, or what
                has a method ``graph`` that gives one, such as a connectome; a square matrix of
                scipy.sparse, whose entries have their senders' signs; or a table of edges, a
                DataFrame or a file (``.csv``, ``.csv.gz``, ``.parquet``, ``.feather``). Of a
                graph, a node's sign is its attribute ``sign`` (+1 or -1), or that of the edges
                it sends, and both if they agree; the magnitudes of the edges' ``weight`` (1
                where an edge has neither that nor another number) are the weights' initial
                proportions, scaled to a spectral radius of ``spectral_radius``.
                ``reset_parameters`` draws strengths anew, and forgets them.
            input_size: As in the class.
            drop_minority: Whether, where a neuron sends edges of both signs, to leave out those
                of the sign with the lesser total weight, instead of refusing the graph;
                ``rnn.n_dropped`` tells how many.
            weight: Name of the attribute of edges, or of the column, that holds their
                strengths, where it is not "weight"; None to take every edge as 1.
            population: The cell types that name the circuit's populations: the attribute of
                nodes that holds them, or a mapping by node; of a sparse matrix, one for each
                unit. Default: "E" and "I".
            rows: What a row of a sparse matrix is, which it does not say: "post", the synapses
                onto a unit, as in this package; or "pre", those that a unit makes.
            columns: Names of the columns of a table that play the roles ``"pre"``, ``"post"``,
                ``"weight"``, ``"sign"`` and ``"transmitter"``. Default: those with usual names,
                such as pre_root_id, bodyId_post, syn_count, nt_type. Rows of one pair are
                added up, with a warning.
            signs: The sign of each transmitter that a table names, ``{"ACH": 1, "GABA": -1}``.
                Default: the column of signs; else those of the weights, if some are negative.
            options: Further arguments of the class, ``sparse`` by default None: chosen by size and
                density. Those with a value for each unit go by node: ``tau_ms={"L1": 20,
                ...}``, a value for every node; ``input_mask={"R1": [True, False], ...}``, a row
                for every node that receives input. A sequence, or a matrix, is taken in the
                order of the nodes, and refused where the circuit has to change that order.

        Returns:
            An ``EIRNN``, excitatory neurons first; ``rnn.nodes`` names them, unit by unit, and
            ``rnn.in_given_order`` puts results in the order of the graph.

        Raises:
            TypeError: If ``graph`` is none of these, or an option belongs to another kind.
            ValueError: If a sign is unknown, a neuron sends both, a strength is missing, a cell
                type has both signs, or an option for each unit does not fit the nodes; if
                ``rows`` is missing, a column is not there or two could be meant, or an id is
                missing or was rounded.

        Example:
            >>> from daleml.datasets import fly_visual
            >>> rnn = EIRNN.from_graph(fly_visual(), input_size=8, drop_minority=True)
            >>> rnn.populations
            Populations(n_exc=40, n_inh=25)
            >>> rnn.nodes[:4], rnn.n_dropped
            (('L2', 'L3', 'L4', 'L5'), 17)
            >>> import scipy.sparse
            >>> weights = scipy.sparse.random_array((500, 500), density=0.02, rng=0)
            >>> rnn = EIRNN.from_graph(weights * ([1, 1, 1, -1] * 125), 3, rows="post")
            >>> rnn.populations
            Populations(n_exc=375, n_inh=125)
        """
        given_wiring.require_left_out(options, "graph")
        wiring = given_wiring.of_graph(
            graph,
            drop_minority=drop_minority,
            weight=weight,
            population=population,
            rows=rows,
            columns=columns,
            signs=signs,
        )
        circuit = cls._of_wiring(wiring, input_size, {"sparse": None, **options})
        wiring.write_into(circuit, starting_radius(circuit))
        contain(circuit)
        return circuit

    @classmethod
    def from_matrix(
        cls,
        weights: Any,
        input_size: int | Populations,
        *,
        rows: Literal["post", "pre"],
        names: Sequence[str] | Mapping[Hashable, str] | None = None,
        signs: Any = None,
        drop_minority: bool = False,
        zeros_exist: bool = False,
        variable: str | None = None,
        **options: Any,
    ) -> EIRNN:
        """Build the circuit of a matrix of weights, whose units stand in any order.

        Args:
            weights: The recurrent weights, signed: an array, a tensor, a sparse matrix, a
                labelled table, or a file of one (``.mat``, ``.npy``, ``.csv`` and others).
            input_size: As in the class.
            rows: What a row is: "post", the synapses onto a unit, as in this package; or
                "pre", those that a unit makes, as in many published files.
            names: The cell type of each unit, in the order of the rows, or by the names that a
                labelled table gives them; default: "E" and "I".
            signs: +1 or -1 for each unit. Default: that of its weights. A unit that sends
                nothing has the sign of its cell type, else it excites.
            drop_minority: Whether, where a unit sends both signs, to leave out the sign of the
                lesser total, or the one that ``signs`` denies, instead of refusing the matrix.
            zeros_exist: Whether a zero is a synapse that may grow; else there is none.
            variable: Name of the array, where a file holds several.
            options: Further arguments of the class. Values for each unit follow the order of
                the matrix. With ``spectral_radius``, strengths are scaled to it; else they are
                as given, in the precision of ``dtype``.

        Returns:
            An ``EIRNN``: unit ``k`` is the given unit ``rnn.order[k]``; ``rnn.nodes`` names the
            units where rows and columns of a table, or of its file, share names.

        Raises:
            TypeError: If ``weights`` are no matrix of numbers.
            ValueError: If it is not square and finite, or a unit or cell type has both signs.

        Example:
            >>> weights = [[0.0, -0.5, 0.2], [0.3, 0.0, 0.1], [0.4, -0.6, 0.0]]
            >>> rnn = EIRNN.from_matrix(weights, 1, rows="post", names=["E", "PV", "E"])
            >>> rnn.populations, rnn.order
            (Populations.of(exc={'E': 2}, inh={'PV': 1}), tensor([0, 2, 1]))
        """
        given_wiring.require_left_out(options, "matrix")
        wiring = given_matrix.of_matrix(
            weights,
            rows=rows,
            names=names,
            signs=signs,
            drop_minority=drop_minority,
            zeros_exist=zeros_exist,
            variable=variable,
        )
        circuit = cls._of_wiring(wiring, input_size, options)
        wiring.write_into(circuit, options.get("spectral_radius"))
        return circuit

    @classmethod
    def _of_wiring(
        cls,
        wiring: given_wiring.GivenWiring,
        input_size: int | Populations,
        options: Mapping[str, Any],
    ) -> EIRNN:
        n_inputs = sizes("input_size", input_size).size
        # Options by unit follow what was given; the circuit puts excitatory units first.
        ordered = wiring.in_unit_order(options, n_inputs)
        with wiring.replacing(ordered):
            mask = wiring.mask(ordered.get("sparse", False))
            circuit = cls(input_size, wiring.populations, mask=mask, **ordered)
        circuit.nodes, circuit.order = wiring.nodes, wiring.order
        circuit.n_dropped = wiring.n_dropped
        return circuit

    def in_given_order(self, values: Tensor, dim: int | Sequence[int] = -1) -> Tensor:
        """Put the units back in the order of the graph or matrix that the circuit was built from.

        Args:
            values: Rates, a state, or weights: ``dim=(0, 1)`` for recurrent ones. Of a circuit
                that was built otherwise, they are returned as they are.
            dim: Where its units lie.

        Raises:
            TypeError: If ``values`` are no tensor.
            ValueError: If there are more or fewer units along ``dim``.

        Example:
            >>> rnn = EIRNN.from_matrix([[0, 1], [-1, 0]], 1, rows="pre", names=["E", "I"])
            >>> rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).T.tolist()
            [[0.0, 1.0], [-1.0, 0.0]]
        """
        return given_wiring.undone(values, self.order, dim)

    def _tells(self) -> dict[str, Any]:
        told = super()._tells()
        # Weights of the same units in another order would be taken for those of others.
        if self.order is not None:
            told["order"] = given_wiring.shown_order(self.nodes, self.order)
        return told
