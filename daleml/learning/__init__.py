"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution."""
