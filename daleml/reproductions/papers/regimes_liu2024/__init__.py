"""Liu et al. 2024."""
