"""The density of each group of synapses with its best family, the groups above one another.

``print(result)`` says whether groups differ by more than chance; the figure does not.

Alt: Two histograms above each other, of excitatory and inhibitory connections, each with a
curve.
"""

from daleml.analysis import compare_groups, plots
from daleml.datasets import celegans

worm = celegans()
sign = worm.edges["sign"].map({1: "excitatory", -1: "inhibitory"})
result = compare_groups(
    worm.edges["weight"], sign, ["weibull", "gamma"], discrete=True, n_shuffles=19
)
plots.groups(result, xlabel="sections of the microscope")
