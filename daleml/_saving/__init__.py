"""The parts of a checkpoint: typed JSON, tensor files, random states, one writer, and checks."""
