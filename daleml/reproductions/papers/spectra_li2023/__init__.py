"""Li et al. 2023 (NeurIPS): singular values of networks under Dale's law."""
