"""The kill matrix: a founding interrupted at every point of every verb, in the lab."""
