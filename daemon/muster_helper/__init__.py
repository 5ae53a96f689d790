"""The root side of muster: a fixed vocabulary of verbs, each refused when unsafe."""
