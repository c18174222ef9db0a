"""Many reports at once: what is asked for, what they hide together, and making them side by side."""
