"""Whole regions of real daemons in virtual time, for tests and for `make sim`."""
