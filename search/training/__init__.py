"""What a worker does with the slots it has claimed."""
