"""Makes the pages that follow from the code: schema, manual pages, completions, tables."""
