"""The same customers in both surveys: pairs, tests of their margins, what came when."""
