"""Draws tables; computes nothing. Every function takes a table and returns the Axes."""
