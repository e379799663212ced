"""Words that are kept as data, said in the language of the page."""

from datetime import date

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

register = template.Library()

# Administrative genders of FHIR R4.
SEXES = {"male": _("Male"), "female": _("Female"), "other": _("Other"), "unknown": _("Unknown")}
# Classes of encounters, in the codes of v3 ActCode.
STAY = _("Hospital stay")
SETTINGS = {
    "ACUTE": STAY,
    "AMB": _("Outpatient visit"),
    "EMER": _("Emergency visit"),
    "FLD": _("Visit on the spot"),
    "HH": _("Home visit"),
    "IMP": STAY,
    "NONAC": STAY,
    "OBSENC": _("Observation in hospital"),
    "PRENC": _("Before a hospital stay"),
    "SS": _("Short hospital stay"),
    "VR": _("Visit by phone or video"),
}
# How much of a date is known, by its length.
FORMS = {4: _("Y"), 7: _("F Y"), 10: _("j F Y")}
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
def setting(code: str) -> str:
    """Return what people call a class of encounters, "" for one that has no words."""
    return worded(SETTINGS.get(code, ""))


@register.filter
def day_in_words(text: str) -> str:
    """Return a FHIR date (YYYY, YYYY-MM or YYYY-MM-DD) as people write it, as it is where it is none."""
    form = FORMS.get(len(text))
    try:
        day = date.fromisoformat(f"{text}-01-01"[:10])
    except ValueError:
        return text
    return format_html('<time datetime="{}">{}</time>', text, date_format(day, gettext(form))) if form else text


@register.filter
def tied(kind: str) -> str:
    """Return what somebody is to a patient, "" for a kind that has no words."""
    return worded(TIES.get(kind, ""))
