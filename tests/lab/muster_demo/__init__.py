"""`make demo`: what a newcomer runs first. Nothing is staged: every line is read from the lab."""
