"""Garcia del Molino et al. 2017: when VIP, PV and SST cells do the opposite of what is expected."""
