"""Connectomes as signed graphs, and what a layer needs of them."""
