"""Which figures are too small to show, and which would give them back: one rule for everything."""
