"""Tasks that networks learn: trials to answer, and the scores of a guesser and an ideal observer.

========================  ====================================================================
``Task``                  draws trials, and judges the answers: ``sample``, ``loss``,
                          ``score``, ``chance``, ``ideal``
``Trials``                inputs, targets and a mask, time first; ``onsets``, ``during``
``Uniform``, ``Choice``,  durations that are drawn for each trial, wherever a task takes one in
``TruncatedExponential``  ms; ``Duration`` is what one of your own subclasses
``Responses``             what was answered in each trial, and when
``Timeline``              when the periods of a batch of trials begin and end
------------------------  --------------------------------------------------------------------
Memory
``AddingProblem``         add the two values that were marked
``DelayedMatchToSample``  is the test what the sample was?
``DirectionMatch``        the same of directions of motion, turned or by category (Masse 2019)
``DirectionSequence``     which of several tests is the sample? (ABBA, ABCA)
``FrequencyComparison``   which of two vibrations was the faster one?
``DelayedResponse``       where was the cue, whatever else appeared since?
------------------------  --------------------------------------------------------------------
Decision
``PerceptualDecision``    which of two inputs carried more evidence?
``ContextDecision``       the same for the one of two modalities that a cue names
``MultisensoryDecision``  by what is seen, what is heard, or both
``EvidenceIntegration``   which of several words came most often?
------------------------  --------------------------------------------------------------------
Many rules
``RuleTask``              one of the twenty rules of Yang et al. 2019
``RuleMixture``           several of them, or all, drawn trial by trial
------------------------  --------------------------------------------------------------------
Images and language
``RowSequentialImages``   what is in an image, seen row by row?
``RowReader``             a circuit that is shown whole images, and reads them row by row
``read_idx``              images and labels as MNIST is published
``CharacterModel``        which character comes next?
------------------------  --------------------------------------------------------------------
``from_neurogym``         any environment of NeuroGym, an optional extra: ``pip install
                          'daleml[tasks]'``
========================  ====================================================================

A task of your own subclasses ``ClassificationTask`` or ``RegressionTask``; or, with periods that
may vary, input noise and catch trials, ``ChoiceTask`` or ``TimedTask``, which has an example.
"""

from daleml._support.idx_files import read_idx
from daleml.tasks.decision import ContextDecision, PerceptualDecision
from daleml.tasks.delayed_response import DelayedResponse
from daleml.tasks.direction_match import DirectionMatch, DirectionSequence
from daleml.tasks.durations import Choice, Duration, TruncatedExponential, Uniform
from daleml.tasks.evidence import EvidenceIntegration
from daleml.tasks.frequency_comparison import FrequencyComparison
from daleml.tasks.images import RowReader, RowSequentialImages
from daleml.tasks.language import CharacterModel
from daleml.tasks.memory import AddingProblem, DelayedMatchToSample
from daleml.tasks.multisensory import MultisensoryDecision
from daleml.tasks.neurogym import NeurogymTask, from_neurogym
from daleml.tasks.rule_mixture import RuleMixture
from daleml.tasks.rule_task import RuleTask
from daleml.tasks.task import ClassificationTask, RegressionTask, Task
from daleml.tasks.timed_tasks import TimedTask
from daleml.tasks.timeline import Timeline
from daleml.tasks.trials import Period, Trials
from daleml.tasks.two_choices import ChoiceTask, Responses

__all__ = [
    "AddingProblem",
    "CharacterModel",
    "Choice",
    "ChoiceTask",
    "ClassificationTask",
    "ContextDecision",
    "DelayedMatchToSample",
    "DelayedResponse",
    "DirectionMatch",
    "DirectionSequence",
    "Duration",
    "EvidenceIntegration",
    "FrequencyComparison",
    "MultisensoryDecision",
    "NeurogymTask",
    "PerceptualDecision",
    "Period",
    "RegressionTask",
    "Responses",
    "RowReader",
    "RowSequentialImages",
    "RuleMixture",
    "RuleTask",
    "Task",
    "TimedTask",
    "Timeline",
    "Trials",
    "TruncatedExponential",
    "Uniform",
    "from_neurogym",
    "read_idx",
]
