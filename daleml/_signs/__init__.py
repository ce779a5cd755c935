"""What ``daleml.signs`` is made of: facts about weights, kept, loaded and judged."""
