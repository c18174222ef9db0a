"""Scores of groups, each with its interval: NPS, CSAT, CES, top box, mean."""
