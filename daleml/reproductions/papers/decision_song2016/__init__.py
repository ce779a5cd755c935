"""Song, Yang & Wang 2016 (PLoS Comput Biol): circuits of E and I units that learn to decide."""
