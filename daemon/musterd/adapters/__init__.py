"""All input and output: one port a file, named after what it reaches."""
