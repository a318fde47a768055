"""Generated images against real ones: what networks see in both, and how far that is apart."""
