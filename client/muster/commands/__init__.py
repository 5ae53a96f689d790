"""One verb a file: `configure(parser)` declares its options, `run(options, context)` does it."""
