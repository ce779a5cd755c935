"""What any study of many runs needs: a journal, resuming, workers and clusters."""
