"""Is this data fit to use: what is missing, who answered, how carefully, at what cost."""
