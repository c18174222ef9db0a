"""Names of what a study file may declare about an export; no reader is imported for them."""

#: Platforms and file formats, by the name that ``format`` of a table may have.
FORMATS = ("plain", "qualtrics", "surveymonkey", "limesurvey", "excel", "spss", "stata")
#: Kinds of responses that ``leave_out`` may name: trials of the questionnaire; begun and
#: not sent off; marked as spam by the platform.
KINDS_OF_RESPONSE = ("preview", "unfinished", "spam")
#: Left out unless something else is said: only what no respondent gave.
LEFT_OUT = ("preview",)
