"""Cornford et al. 2024 (bioRxiv): exponentiated gradient, beside gradient descent."""
