"""From files to checked answers."""
