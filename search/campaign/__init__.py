"""What is searched: the campaign file, its spaces, and the pure rules for them."""
