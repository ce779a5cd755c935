"""Pogodin et al. 2024."""
