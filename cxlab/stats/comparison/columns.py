"""Names of the columns and the contact rules that a comparison is told about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from cxlab.core.messages import got, nearest, one_of

SURVEY_TYPES = ("transactional", "relationship")
#: In this order, so that a code of INVITED or more is an invitation that went out.
STATUSES = ("not_sampled", "suppressed", "invited", "bounced", "answered")
NOT_SAMPLED, SUPPRESSED, INVITED, BOUNCED, ANSWERED = range(5)


@dataclass(frozen=True)
class Columns:
    """What each column of the contract is called in the files.

    Parameters
    ----------
    customer, account : str
        Customer (None: the answers don't name one); account, where several customers belong
        to one (None: no accounts).
    score : str
        Likelihood to recommend, 0 to 10, in both surveys.
    response, survey_type, period, episode, touchpoint, contact_channel : str
        Identifiers and labels; a missing ``survey_type`` column is allowed, because the
        argument that a file comes in declares it.
    triggered_at, invited_at, responded_at : str
        When the episode ended (in the invitations: when the customer became eligible),
        when the invitation went out, when the answer came.
    weights : str, mapping of str to str, or None
        The surveys' own weights: one column, or survey to column.
    status, rule, probability : str
        Of the invitations.
    """

    customer: str | None = "customer_id"
    score: str = "recommend"
    account: str | None = None
    weights: str | Mapping[str, str] | None = None
    response: str = "response_id"
    survey_type: str = "survey_type"
    period: str = "period"
    episode: str = "episode_id"
    touchpoint: str = "touchpoint"
    contact_channel: str = "contact_channel"
    triggered_at: str = "triggered_at"
    invited_at: str = "invited_at"
    responded_at: str = "responded_at"
    status: str = "status"
    rule: str = "rule"
    probability: str = "probability"

    def weights_of(self, survey: str) -> str | None:
        """Column of a survey's weights; None if it has none."""
        if self.weights is None or isinstance(self.weights, str):
            return self.weights
        return self.weights.get(survey)

    def renamed(self, names: Mapping[str, str]) -> Columns:
        """The same with some names changed.

        Raises
        ------
        ValueError
            For a name that the contract does not have.
        """
        known = [field.name for field in fields(self)]
        for name in names:
            if name not in known:
                near = nearest(name, known)
                hint = f" Did you mean '{near}'?" if near else ""
                raise ValueError(f"`columns` must name {one_of(known)}; got '{name}'.{hint}")
        return replace(self, **names)


@dataclass(frozen=True)
class ContactRule:
    """A contact rule: no invitation within some days after a transactional invitation.

    Parameters
    ----------
    name : str
        As it stands in the ``rule`` column of the invitations.
    days : float or None
        Days after a transactional invitation. None: how the rule works is not known, so
        nothing can be corrected for it.
    exempt : float
        Share of customers, 0 to below 1, whom the rule passes over at random.
    """

    name: str
    days: float | None = None
    exempt: float = 0.0

    def __post_init__(self) -> None:
        if self.days is not None and not 0 <= float(self.days) < float("inf"):
            raise ValueError(f"`days` of rule '{self.name}' must be 0 or more; got {self.days}.")
        if not 0 <= self.exempt < 1:
            raise ValueError(
                f"`exempt` of rule '{self.name}' must be from 0 to below 1; got {self.exempt}."
            )

    def __str__(self) -> str:
        if self.days is None:
            return f"{self.name}: how it works is not known"
        unit = "day" if self.days == 1 else "days"
        return f"{self.name}: {self.days:g} {unit}, {100 * self.exempt:.3g} % exempt"


Rules = Mapping[str, float | Sequence[float] | None] | Sequence[ContactRule] | None


def contact_rules(rules: Rules, found: Sequence[str]) -> dict[str, ContactRule]:
    """Declared rules by name, with an unknown rule for every name that was not declared.

    Parameters
    ----------
    rules
        Rules, or a mapping of name to days, or to (days, exempt), or to None.
    found
        Names of the rules in the invitations.

    Raises
    ------
    ValueError
        For a rule that the invitations do not have.

    Examples
    --------
    >>> rules = contact_rules({"quarantine": (90, 0.1)}, ["quarantine", "opted out"])
    >>> rules["quarantine"].exempt, rules["opted out"].days
    (0.1, None)
    """
    declared = _declared(rules)
    stray = [name for name in declared if name not in found]
    if stray:
        near = nearest(stray[0], found)
        hint = f"Did you mean '{near}'?" if near else f"The invitations have {one_of(found)}."
        raise ValueError(
            f"`contact_rules` must be rules of the invitations; got {got(stray)}. {hint}"
        )
    return {name: declared.get(name, ContactRule(name)) for name in found}


def rules_in_words(rules: Rules) -> str:
    """Contact rules as a reader is told them; ``none`` without any.

    Examples
    --------
    >>> rules_in_words({"quarantine": (90, 0.1), "opted out": None})
    'quarantine: 90 days, 10 % exempt; opted out: how it works is not known'
    """
    return "; ".join(str(rule) for rule in _declared(rules).values()) or "none"


def _declared(rules: Rules) -> dict[str, ContactRule]:
    if rules is None:
        return {}
    if isinstance(rules, Mapping):
        return {str(name): _rule(str(name), told) for name, told in rules.items()}
    for rule in rules:
        if not isinstance(rule, ContactRule):
            raise TypeError(
                "`contact_rules` must be a mapping of rule to days, or a list of ContactRule; "
                f"got {type(rule).__name__}. Write {{'quarantine': 90}}."
            )
    return {rule.name: rule for rule in rules}


def _rule(name: str, told: float | Sequence[float] | None) -> ContactRule:
    if told is None or isinstance(told, int | float):
        return ContactRule(name, told)
    if isinstance(told, str) or len(told) != 2:
        raise TypeError(
            f"`contact_rules` must give days, (days, exempt share) or None; got {told} for "
            f"'{name}'. Write {{'{name}': 90}} or {{'{name}': (90, 0.1)}}."
        )
    return ContactRule(name, told[0], float(told[1]))
