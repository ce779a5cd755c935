"""The modules of the first edition that have moved, under the names that they had then.

``import daleml.analysis.fit`` goes on working, although the file is elsewhere now. The old
name is a module without code of its own: it looks every name up in the new place. A few of
these modules had the name of a function, such as ``daleml.analysis.spectrum``. Once imported,
such a module hides the function, so it can be called like it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = "daleml."

MOVED: dict[str, tuple[str, ...]] = {
    # Pickles of layers name by these what the layers are made of.
    "_facts": ("_signs.facts",),
    "_loading": ("_signs.loading",),
    "analysis.bootstrap": ("analysis.distributions.bootstrap",),
    "analysis.comparison": (
        "analysis.distributions.comparison",
        "analysis.distributions.family_ranking",
        "analysis.distributions.vuong",
    ),
    "analysis.families": ("analysis.distributions.families",),
    "analysis.families.base": ("analysis.distributions.families.family",),
    "analysis.families.gamma": (
        "analysis.distributions.families.gamma",
        "analysis.distributions.families.exponential",
        "analysis.distributions.families.weibull",
        "analysis.distributions.families.generalized_gamma",
    ),
    "analysis.families.lognormal": (
        "analysis.distributions.families.lognormal",
        "analysis.distributions.families.lognormal_mixture",
    ),
    "analysis.families.normal": (
        "analysis.distributions.families.half_normal",
        "analysis.distributions.families.truncated_normal",
        "analysis.distributions.families.stretched_exponential",
    ),
    "analysis.families.special": ("analysis.distributions.families.log_probabilities",),
    "analysis.families.tails": (
        "analysis.distributions.families.inverse_gaussian",
        "analysis.distributions.families.lomax",
    ),
    "analysis.fit": (
        "analysis.distributions.fit",
        "analysis.distributions.weight_fit",
        "analysis.distributions.observed_sample",
        "analysis.distributions.connection_probability",
        "analysis.distributions.kolmogorov_smirnov",
    ),
    "analysis.geometry": ("analysis.plasticity.dual_geometry",),
    "analysis.goodness": ("analysis.distributions.goodness",),
    "analysis.graph": (
        "analysis.connectomes.graph_measures",
        "analysis.connectomes.graph_arrays",
    ),
    "analysis.groups": (
        "analysis.distributions.group_comparison",
        "analysis.distributions.by_group",
    ),
    "analysis.intervals": ("analysis.distributions.intervals",),
    "analysis.likelihood": (
        "analysis.distributions.likelihood",
        "analysis.distributions.likelihood_maximum",
        "analysis.distributions.likelihood_data",
    ),
    "analysis.normality": ("analysis.plasticity.normality",),
    "analysis.observation": ("analysis.distributions.observation",),
    "analysis.pairs": ("analysis.plasticity.before_after",),
    "analysis.plots.claims": ("analysis.plots.claim_plots",),
    "analysis.plots.density": ("analysis.plots.densities",),
    "analysis.plots.graphs": ("analysis.plots.connectome_plots",),
    "analysis.plots.groups": ("analysis.plots.group_plots",),
    "analysis.plots.learning": ("analysis.plots.history_plots",),
    "analysis.plots.matrices": ("analysis.plots.matrix_plots",),
    "analysis.plots.palette": ("analysis.plots.family_styles",),
    "analysis.plots.plasticity": ("analysis.plots.plasticity_plots",),
    "analysis.plots.seen": ("analysis.plots.plotted_sample",),
    "analysis.plots.shapes": ("analysis.plots.shape_plots",),
    "analysis.plots.sweeps": ("analysis.plots.sweep_plots",),
    "analysis.plots.tails": ("analysis.plots.tail_plots",),
    "analysis.plots.trials": ("analysis.plots.trial_plots",),
    "analysis.probes": ("analysis.plasticity.probes",),
    "analysis.regime": ("analysis.plasticity.rich_lazy",),
    "analysis.resemblance": ("analysis.distributions.resemblance",),
    "analysis.sign_rules": ("analysis.connectomes.sign_rules",),
    "analysis.spectrum": ("analysis.spectra",),
    "convert.report": ("convert.conversion_report",),
    "convert.synapses": ("modules",),
    "datasets.celegans": ("datasets.worm_celegans",),
    "datasets.cerebellum": ("datasets.mouse_cerebellum",),
    "datasets.digits": ("datasets.digit_images", "datasets.image_split"),
    "datasets.fashion": ("datasets.fashion_images",),
    "datasets.fly": ("datasets.fly_visual_system",),
    "datasets.kasthuri": ("datasets.mouse_somatosensory_cortex",),
    "datasets.larva": ("datasets.fly_larva",),
    "datasets.microns": ("datasets.mouse_visual_cortex",),
    "datasets.synapses": ("datasets.synapse_table", "datasets.own_synapses"),
    "demo.dense": ("demo.dense_networks",),
    "demo.found": ("demo.demo_results",),
    "demo.learning": ("demo.demo_training",),
    "demo.page": ("pages.demo_page", "demo.dense_figures"),
    "demo.recurrent": ("demo.row_networks",),
    "demo.rows_page": ("pages.demo_rows_page", "demo.row_figures"),
    "fit_report": ("weight_study", "pages.fit_page"),
    "fit_report.figures": ("weight_study.fit_figures",),
    "fit_report.gather": ("weight_study.input_data", "weight_study.reference_weights"),
    "fit_report.hints": ("weight_study.fit_study",),
    "fit_report.page": ("pages.fit_page",),
    "fit_report.study": ("weight_study.fit_study",),
    "layers.cells": ("layers.recurrent_cells",),
    "layers.circuit": ("layers._recurrent.circuit",),
    "layers.connectivity": ("layers._recurrent.masks",),
    "layers.following": ("layers.propagation",),
    "layers.fused": ("layers._recurrent.fused",),
    "layers.geometry": ("layers._shared.conv_geometry",),
    "layers.leak": ("layers._recurrent.leak", "layers._recurrent.kept_leak"),
    "layers.recurrence": (
        "layers._recurrent.dispatch",
        "layers._recurrent.shunting_loop",
    ),
    "layers.steps": ("layers._recurrent.loop", "layers._recurrent.nonlinearities"),
    "layers.unrolled": (
        "layers._recurrent.sequence_interface",
        "layers._recurrent.cell_interface",
    ),
    "layers.whole_model": ("layers.init.whole_model",),
    "layers.wiring": (
        "layers._recurrent.wiring",
        "layers._recurrent.column_ei_wiring",
        "layers._recurrent.dann_wiring",
    ),
    "learning.activations": ("learning.equilibrium.activations",),
    "learning.activities": (
        "learning.oja.activity_recording",
        "learning.oja.activation_chains",
    ),
    "learning.choices": ("learning.oja.oja_arguments",),
    "learning.connections": (
        "learning.equilibrium.connections",
        "learning.equilibrium.conv_block",
        "learning.equilibrium.softmax_pool",
    ),
    "learning.continuous": ("learning.equilibrium.continuous_equilibrium_propagation",),
    "learning.evidence": ("tasks.evidence",),
    "learning.feedback": ("learning.oja.feedback_alignment",),
    "learning.holomorphic": (
        "learning.equilibrium.holomorphic_network",
        "learning.equilibrium.network_arguments",
    ),
    "learning.hooks": ("learning.oja.uncopied_hooks",),
    "learning.implicit": (
        "learning.equilibrium.recurrent_backpropagation",
        "learning.equilibrium.gradient_comparison",
    ),
    "learning.morris_lecar": ("neurons.morris_lecar",),
    "learning.morris_lecar_coupling": ("neurons.coupled_cells",),
    "learning.morris_lecar_network": ("neurons.morris_lecar_network",),
    "learning.neural_odes": (
        "odes.neural_odes",
        "odes.differential_equations",
        "odes.ode_solvers",
    ),
    "learning.plasticity": ("learning.oja.oja",),
    "learning.readings": ("learning.equilibrium.nudged_gradient",),
    "learning.rules": ("learning.equilibrium.gradient_rule",),
    "learning.settling": ("learning.equilibrium.relaxation",),
    "learning.silencing": ("neurons.silencing",),
    "learning.synapses": ("learning.oja.plastic_weights",),
    "optim._guards": ("optim.step_guards",),
    "optim.base": ("optim.optimizer_base",),
    "optim.compiled": ("optim._fast.compile_cache",),
    "optim.enforce": ("optim.enforcement",),
    "optim.exponent": ("optim._fast.guarded_exp", "optim._fast.whole_lists"),
    "optim.functional": ("optim.update_lists",),
    "optim.groups": ("optim.parameter_groups",),
    "optim.pieces": ("optim._fast.chunks",),
    "optim.split": ("optim.split_biases",),
    "optim.stuck": ("optim.dead_weights",),
    "readers": ("weight_files",),
    "report": ("pages.html_page", "analysis.plots.drawing"),
    "reproductions.dann": (
        "reproductions.papers.dann_cornford2021.claims",
        "reproductions.papers.dann_cornford2021.experiments",
        "reproductions.papers.dann_cornford2021.networks",
    ),
    "reproductions.eg": (
        "reproductions.papers.eg_cornford2024.claims",
        "reproductions.papers.eg_cornford2024.digit_arms",
        "reproductions.papers.eg_cornford2024.experiments",
        "reproductions.papers.eg_cornford2024.networks",
    ),
    "reproductions.equilibrium": (
        "reproductions.papers.equilibrium_laborieux2022.claims",
        "reproductions.papers.equilibrium_laborieux2022.experiments",
        "reproductions.papers.equilibrium_laborieux2022.networks",
    ),
    "reproductions.equilibrium_training": (
        "reproductions.papers.equilibrium_laborieux2022.experiments",
        "reproductions.papers.equilibrium_laborieux2022.networks",
    ),
    "reproductions.evolution": (
        "reproductions.papers.evolution_hazelden2023.claims",
        "reproductions.papers.evolution_hazelden2023.experiments",
        "reproductions.papers.evolution_hazelden2023.networks",
    ),
    "reproductions.evolution_training": (
        "reproductions.papers.evolution_hazelden2023.experiments",
        "reproductions.papers.evolution_hazelden2023.networks",
    ),
    "reproductions.geometry": (
        "reproductions.papers.geometry_pogodin2024.claims",
        "reproductions.papers.geometry_pogodin2024.experiments",
        "reproductions.papers.geometry_pogodin2024.networks",
    ),
    "reproductions.journal": ("experiments.journal",),
    "reproductions.learning": ("reproductions.harness",),
    "reproductions.oja": (
        "reproductions.papers.oja_shervanitabar2024.claims",
        "reproductions.papers.oja_shervanitabar2024.experiments",
        "reproductions.papers.oja_shervanitabar2024.networks",
    ),
    "reproductions.page": ("pages.claims_page",),
    "reproductions.regimes": (
        "reproductions.papers.regimes_liu2024.claims",
        "reproductions.papers.regimes_liu2024.experiments",
        "reproductions.papers.regimes_liu2024.networks",
    ),
    "reproductions.running": ("reproductions.running_claims", "experiments.running"),
    "reproductions.spectral": (
        "reproductions.papers.spectra_li2023.claims",
        "reproductions.papers.spectra_li2023.experiments",
        "reproductions.papers.spectra_li2023.networks",
    ),
    "tasks.choice": ("tasks.two_choices",),
}
"""From the old name to the modules that hold its contents now, both without ``daleml.``."""

RENAMED: dict[str, dict[str, str]] = {
    "analysis.comparison": {"compare_material": "compare_sample"},
    "analysis.fit": {
        "Connection": "ConnectionProbability",
        "Material": "ObservedSample",
        "fit_material": "fit_sample",
    },
    "analysis.likelihood": {
        "Observed": "LikelihoodData",
        "climb": "maximise_function",
        "observe": "read_sample",
    },
    "analysis.pairs": {"Weights": "WeightsLike"},
    "analysis.plots.density": {"named": "labelled_fits"},
    "analysis.plots.palette": {
        "Look": "FamilyStyle",
        "line": "line_of",
        "look": "style_of",
    },
    "analysis.plots.seen": {
        "Seen": "PlottedSample",
        "seen": "sample_of",
        "share_between": "fraction_between",
    },
    "analysis.probes": {"State": "ModelState", "Weights": "ModelWeights"},
    "datasets.celegans": {"SignRule": "WormSignRule"},
    "fit_report.figures": {"names": "file_names"},
    "fit_report.study": {"median": "median_magnitude"},
    "layers.connectivity": {"matrix": "mask_matrix"},
    "layers.recurrence": {"Sweep": "LayerSweep"},
    "layers.wiring": {"Drawing": "PathDrawing"},
    "learning.activities": {"Seen": "Recorded"},
    "learning.choices": {
        "by_layer": "activations_by_layer",
        "by_weight": "coefficients_by_weight",
        "fitting": "activity_rows",
    },
    "learning.hooks": {"Hook": "UncopiedHook", "Silent": "SilentHook"},
    "learning.morris_lecar_coupling": {
        "Stretch": "StepBlock",
        "held": "advance_without_gradient",
        "hold": "advance",
    },
    "learning.readings": {"read": "gradients_at", "turning": "points_on_circle"},
    "learning.synapses": {"Synapses": "PlasticWeight", "lawful": "fixed_signs"},
    "reproductions.journal": {"Key": "RunKey"},
    "reproductions.learning": {"Arm": "ImageArm", "learn": "train_arm"},
    "reproductions.equilibrium_training": {
        "TRAJECTORY": "ACCURACIES",
        "run_trajectory": "run_accuracies",
    },
    "reproductions.oja": {"Course": "OnlinePass", "learn": "learn_online"},
    "reproductions.running": {"Result": "SeedResult"},
    "reproductions.spectral": {"ColumnEI": "BuildColumnEI"},
}
"""By the old name of a module, what its names that have changed are called now."""


class MovedModule(ModuleType):
    """The old name of a module: it finds every attribute in the new place."""

    def __getattr__(self, name: str) -> Any:
        """Return what ``name`` is in the new modules, where it may have another name."""
        now = RENAMED.get(self._old_name(), {}).get(name, name)
        # Names such as `__path__` are asked for by Python itself, and are the module's own.
        if not (name.startswith("__") and name.endswith("__")):
            for home in self._homes():
                if hasattr(home, now):
                    return getattr(home, now)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function that has the name of this module."""
        own = self.__name__.rpartition(".")[2]
        return getattr(self, own)(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that uses it may be sent to another process.
        return importlib.import_module, (self.__name__,)

    def __dir__(self) -> list[str]:
        names = set(RENAMED.get(self._old_name(), ()))
        for home in self._homes():
            names |= set(dir(home))
        return sorted(names)

    def _old_name(self) -> str:
        return self.__name__.removeprefix(_PACKAGE)

    def _homes(self) -> list[ModuleType]:
        new = MOVED[self._old_name()]
        return [importlib.import_module(_PACKAGE + name) for name in new]


class _MovedModuleFinder(MetaPathFinder, Loader):
    """Finds the old names.

    It comes first: a folder that is left of an older version, empty but for compiled files,
    would else be taken for the module.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return how to load ``fullname``, if it is an old name."""
        if fullname.removeprefix(_PACKAGE) not in MOVED:
            return None
        # A former folder: Python looks its modules up only if it is a package.
        inner = f"{fullname}."
        had_modules = any(f"{_PACKAGE}{old}".startswith(inner) for old in MOVED)
        return ModuleSpec(fullname, self, is_package=had_modules)

    def create_module(self, spec: ModuleSpec) -> MovedModule:
        """Return an empty module that looks its names up in the new place."""
        return MovedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Take over what the new module says of itself."""
        assert isinstance(module, MovedModule)
        homes = module._homes()
        module.__doc__ = homes[0].__doc__
        public = [name for home in homes for name in getattr(home, "__all__", ())]
        if public:
            vars(module)["__all__"] = public


def install() -> None:
    """Let Python find the old names."""
    # Once per process, also where the package is reloaded.
    if not any(isinstance(finder, _MovedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedModuleFinder())
