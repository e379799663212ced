"""Words that are kept as data, said in the language of the page."""

from django import template
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

register = template.Library()

# Administrative genders of FHIR R4.
SEXES = {"male": _("Male"), "female": _("Female"), "other": _("Other"), "unknown": _("Unknown")}
# Why somebody may act for a patient.
TIES = {
    "own": _("You"),
    "parent": _("You are a parent"),
    "guardian": _("You are the guardian"),
    "caregiver": _("You help with care"),
}


@register.filter
def worded(text: str) -> str:
    """Return a text in the language of the page, as it is where nobody translated it."""
    return gettext(text) if text else ""


@register.filter
def sex(code: str) -> str:
    """Return what people call an administrative gender, "" for one that FHIR does not know."""
    return worded(SEXES.get(code, ""))


@register.filter
def tied(kind: str) -> str:
    """Return what somebody is to a patient, "" for a kind that has no words."""
    return worded(TIES.get(kind, ""))
