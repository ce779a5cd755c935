"""One folder per paper: its networks, its experiments, its claims."""
