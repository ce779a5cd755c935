"""Masse et al. 2019: working memory in synapses that facilitate and depress, without activity."""
