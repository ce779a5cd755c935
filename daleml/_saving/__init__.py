"""What a checkpoint is made of.

Typed JSON, tensor files, random states, one writer, and checks before a change.
"""
