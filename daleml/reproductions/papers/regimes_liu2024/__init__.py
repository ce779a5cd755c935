"""Liu et al. 2024 (ICLR): the rank of the start, and rich or lazy learning."""
