"""Correlations, ordinal ones too, from joint count tables: `counts` reads, `estimates` estimates."""
