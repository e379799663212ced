"""The form of a review: what was checked, what is given, and why."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clients.acting import LONGEST_REASON
from clients.admin_forms import WordsField, require_readable
from clients.models import Review, Tenant
from clients.reviews import Matter, Verdict, problems_of

OUTCOMES = {
    Review.Outcome.APPROVED: "Approve as asked",
    Review.Outcome.NARROWED: "Approve with fewer scopes",
    Review.Outcome.RETURNED: "Ask for changes",
    Review.Outcome.DECLINED: "Decline",
}
ALLOWED = "allowed_"  # begins the name of the field that says how much a tenant allows
Text = forms.Textarea(attrs={"rows": 3})


class ReviewForm(forms.Form):
    """Everything a registrar says about a matter. `tenants` are those where the client waits to be activated."""

    outcome = forms.ChoiceField(widget=forms.RadioSelect, error_messages={"required": "Choose what becomes of it."})
    checked = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    keep = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    activate = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    reason = forms.CharField(required=False, max_length=LONGEST_REASON, widget=Text)
    note = forms.CharField(required=False, max_length=LONGEST_REASON, widget=Text)

    def __init__(self, matter: Matter, tenants: list[Tenant], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial={"keep": matter.scopes})
        self.matter, self.tenants = matter, tenants
        skipped = {Review.Outcome.RETURNED} if matter.change else set()
        if matter.is_declined:
            skipped = {Review.Outcome.RETURNED, Review.Outcome.DECLINED}
        choices: dict[str, list[tuple[str, str]]] = {
            "outcome": [(name, text) for name, text in OUTCOMES.items() if name not in skipped],
            "checked": list(matter.checks.items()),
            "keep": [(one, one) for one in matter.scopes],
            "activate": [(one.slug, one.name or one.slug) for one in tenants],
        }
        for name, values in choices.items():
            self.fields[name].choices = values  # type: ignore[attr-defined]
        for tenant in tenants:
            self.fields[ALLOWED + tenant.slug] = WordsField(
                required=False,
                label=f"At most, at {tenant.name or tenant.slug}",
                widget=forms.Textarea(attrs={"rows": 2}),
            )

    @property
    def places(self) -> list[tuple[Tenant, bool, forms.BoundField]]:
        """Return each tenant with whether it is ticked and the field for its scopes."""
        ticked = set(self["activate"].value() or ())
        return [(one, one.slug in ticked, self[ALLOWED + one.slug]) for one in self.tenants]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for tenant in self.tenants:
            name = ALLOWED + tenant.slug
            try:
                require_readable(cleaned.get(name, ""))
            except ValidationError as why:
                self.add_error(name, why)
        if not self.errors:
            for field, problem in problems_of(self.matter, self.verdict()).items():
                self.add_error(field, problem)
        return cleaned

    def verdict(self) -> Verdict:
        """Return what a filled-in form says."""
        said = self.cleaned_data
        return Verdict(
            outcome=Review.Outcome(said["outcome"]),
            checked=frozenset(said["checked"]),
            keep=tuple(said["keep"]),
            activate={slug: said[ALLOWED + slug] for slug in said["activate"]},
            reason=said["reason"],
            note=said["note"],
        )
