"""Speed and memory beside peers, coverage of the intervals: commands that print tables."""
