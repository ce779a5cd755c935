"""Hazelden et al. 2023 (arXiv): evolution of networks of biophysical neurons."""
