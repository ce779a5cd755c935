"""What a checkpoint is made of: typed JSON, tensor files, random states, one writer, and checks before a change."""
