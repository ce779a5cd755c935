"""Connectomes: Dale's law in a signed graph, rules that make it hold, and what a layer needs.

==================  ==========================================================================
module              what it holds
==================  ==========================================================================
``graph_measures``  ``graph_summary``: Dale's law, balance, degrees, reciprocity, spectrum
``sign_rules``      ``lawful_graph``: one sign per sender, by a rule, and what that changed
``signed_graphs``   the graph with those signs, in columns or as one of networkx
``graph_arrays``    ``signed_matrix``, ``graph_mask``, ``graph_populations``: for a layer
==================  ==========================================================================
"""

from daleml.analysis.connectomes.graph_arrays import (
    SignedMatrix,
    graph_mask,
    graph_populations,
    signed_matrix,
)
from daleml.analysis.connectomes.graph_measures import GraphSummary, graph_summary
from daleml.analysis.connectomes.sign_rules import LawfulGraph, SignRule, lawful_graph

__all__ = [
    "GraphSummary",
    "LawfulGraph",
    "SignRule",
    "SignedMatrix",
    "graph_mask",
    "graph_populations",
    "graph_summary",
    "lawful_graph",
    "signed_matrix",
]
