"""Random input against every door of muster, in numbers: `make fuzz`."""
