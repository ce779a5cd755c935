"""The machinery of recurrence, behind the public layers of ``daleml.layers.recurrent``."""
