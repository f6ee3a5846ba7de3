"""Tables: how they are written, what their columns are, and their numbers."""
