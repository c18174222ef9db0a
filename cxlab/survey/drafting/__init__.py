"""From a stranger's file to a study file whose every guess is marked to be confirmed."""

from cxlab.survey.drafting.draft import Draft, draft_study, draft_waves
from cxlab.survey.drafting.write import accept_guesses, settle_columns

__all__ = ["Draft", "accept_guesses", "draft_study", "draft_waves", "settle_columns"]
