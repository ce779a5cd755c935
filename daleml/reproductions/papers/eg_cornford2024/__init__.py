"""Cornford et al. 2024."""
