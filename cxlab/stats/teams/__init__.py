"""Teams: employees beside customers, scores of units, and signs that a score is being managed."""

from cxlab.stats.teams.link import TeamLink, link_teams
from cxlab.stats.teams.scores import unit_scores
from cxlab.stats.teams.signs import funnel, unit_signs
from cxlab.stats.teams.study import StudyTeams, study_teams
from cxlab.stats.teams.units import UnitResult

__all__ = [
    "StudyTeams",
    "TeamLink",
    "UnitResult",
    "funnel",
    "link_teams",
    "study_teams",
    "unit_scores",
    "unit_signs",
]
