"""Cornford et al. 2021 (ICLR): Dale's ANNs, which learn as well as networks without a law."""
