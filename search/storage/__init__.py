"""Where studies and trials are kept, and leased to one worker at a time."""
