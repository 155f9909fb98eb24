"""Who is timed. Each module is imported in a process of its own, and holds one library used as its users would."""
