"""Who leads, and what is founded: a pure machine, its words and its invariants."""
