"""The parts of ``daleml.training``.

====================  ============================================================================
``training_loop``     the loop over epochs: train, check, record, call back, save
``epochs``            one epoch: a step of the optimiser on every batch
``learner``           what is asked of a model: its losses, its clipping, its rows of the history
``epoch_means``       mean loss and accuracy over the batches of an epoch
``callback_calls``    callbacks sorted by when they are called
``schedules``         schedulers that step after every epoch or every batch
``soundness``         checks that a model and its optimiser are finite and keep Dale's law
``rate_corrections``  a watch over the learning rates of ``param_groups``
``training_inputs``   checks of what ``train`` is given
``progress_bar``      the bar on a terminal
====================  ============================================================================
"""
