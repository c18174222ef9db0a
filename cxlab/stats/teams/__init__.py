"""Teams: employees beside customers, scores of units, and signs that a score is being managed."""

from cxlab.stats.teams.link import link_teams
from cxlab.stats.teams.scores import unit_scores, unit_signs
from cxlab.stats.teams.study import study_teams

__all__ = ["link_teams", "study_teams", "unit_scores", "unit_signs"]
