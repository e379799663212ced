"""The page of one client at one tenant: switched on for at most some scopes, or off with a note."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.acting import LONGEST_REASON, NotPossible, operator
from clients.activations import activate, deactivate, unfit_to_skip
from clients.admin_forms import WordsField, require_readable
from clients.administration.facts import scopes_in_words
from clients.models import Activation, Client, Tenant
from clients.probes import probe
from clients.tenants import find_tenant
from smartauth.administration.pages import Trail, confirmation, goes_back, is_confirmed, page, staff_page
from smartauth.context import context_of
from smartauth.policy.scopes import split_scope

WHOLE, CHOSEN = "whole", "chosen"
ON, OFF = "on", "off"


class SwitchForm(forms.Form):
    """What a tenant allows. `keep` are registered scopes; `more` is for narrower ones, written by hand."""

    act = forms.ChoiceField(choices=[(ON, "Switch on"), (OFF, "Switch off")])
    most = forms.ChoiceField(
        required=False,
        choices=[(WHOLE, "Everything it is registered for, now and later"), (CHOSEN, "Only these:")],
        widget=forms.RadioSelect,
    )
    keep = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    more = WordsField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
    )
    skips_consent = forms.BooleanField(
        required=False,
        label="Do not ask clinicians whom an EHR launches into it",
        help_text="Weakens a rule. Patients, and sensitive categories, are asked about all the same; My apps and the "
        "audit trail say that nobody was asked.",
    )
    note = forms.CharField(required=False, max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, client: Client, activation: Activation | None, data: Any = None) -> None:
        registered = list(dict.fromkeys(split_scope(client.scope)))
        allowed = split_scope(activation.allowed_scope) if activation else ()
        initial = {
            "most": CHOSEN if allowed else WHOLE,
            "keep": [one for one in registered if one in allowed or not allowed],
            "more": " ".join(one for one in allowed if one not in registered),
            "skips_consent": bool(activation and activation.skips_consent),
        }
        self._client = client
        super().__init__(data, initial=initial)
        self.fields["keep"].choices = [(one, one) for one in registered]  # type: ignore[attr-defined]

    def clean_more(self) -> str:
        return require_readable(self.cleaned_data["more"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("act") == OFF and not cleaned.get("note", "").strip():
            self.add_error("note", "It takes a note. The owner of the client reads it.")
        if cleaned.get("act") == ON and cleaned.get("most") == CHOSEN and not self._chosen() and "more" in cleaned:
            self.add_error("keep", ValidationError("Tick at least one scope, or write one."))
        if cleaned.get("act") == ON and cleaned.get("skips_consent"):
            allowed = self._chosen() if cleaned.get("most") == CHOSEN else ""
            if why := unfit_to_skip(self._client, allowed):
                self.add_error("skips_consent", f"{why[0].upper()}{why[1:]}.")
        return cleaned

    @property
    def allowed_scope(self) -> str | None:
        """Return the most the tenant allows, "" for the whole registration, None for a client switched off."""
        if self.cleaned_data["act"] == OFF:
            return None
        return self._chosen() if self.cleaned_data["most"] == CHOSEN else ""

    def _chosen(self) -> str:
        return " ".join([*self.cleaned_data.get("keep", ()), *split_scope(self.cleaned_data.get("more", ""))])


def version_of(activation: Activation | None) -> str:
    """Return what stands for the state of an activation on the page that shows it, also of one there is none of."""
    return activation.decided_at.isoformat() if activation and activation.decided_at else "undecided"


@staff_page("clients.view_activation", "GET", "POST")
def at_tenant(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    """Show how a client stands at a tenant, and switch it, after asking once more."""
    client = get_object_or_404(Client.objects.select_related("user"), pk=pk)
    tenant = get_object_or_404(Tenant, slug=slug)
    activation = Activation.objects.filter(client=client, tenant=tenant).first()
    form = SwitchForm(client, activation, request.POST if request.method == "POST" else None)
    if form.is_bound and not request.user.has_perm("clients.change_activation"):
        raise PermissionDenied
    if form.is_bound and request.POST.get("seen") != version_of(activation):
        changed = "Somebody decided about it since you looked, so nothing was changed. What you typed is still here."
        return _show(request, client, tenant, activation, form, problem=changed, status=409)
    if goes_back(request) or not form.is_valid():
        return _show(request, client, tenant, activation, form)
    if not is_confirmed(request):
        return _ask_once_more(request, client, tenant, form)
    return _switch(request, client, tenant, activation, form)


def _switch(
    request: HttpRequest, client: Client, tenant: Tenant, activation: Activation | None, form: SwitchForm
) -> HttpResponse:
    info, allowed = find_tenant(tenant.slug), form.allowed_scope
    said: dict[str, Any] = {
        "note": form.cleaned_data["note"],
        "seen": activation.decided_at if activation else None,
        "by": operator(request.user.pk),
        "context": context_of(request),
    }
    try:
        if info is None:
            raise NotPossible("activation.tenant", "the tenant is not active", fix="Activate the tenant first.")
        if allowed is None:
            deactivate(client, info, **said)
        else:
            activate(client, info, allowed_scope=allowed, skips_consent=form.cleaned_data["skips_consent"], **said)
    except NotPossible as error:
        problem = f"Nothing was changed: {error.refusal.reason}. {error.refusal.fix}"
        now = Activation.objects.filter(client=client, tenant=tenant).first()
        return _show(request, client, tenant, now, form, problem=problem, status=error.status)
    state = "off" if form.allowed_scope is None else "on"
    messages.success(request, f"{client.name or client.client_id} is switched {state} at {tenant.slug}.")
    return HttpResponseRedirect(request.path)


def _ask_once_more(request: HttpRequest, client: Client, tenant: Tenant, form: SwitchForm) -> HttpResponse:
    name, allowed = client.name or client.client_id, form.allowed_scope
    if allowed is None:
        says = [f"{name} can do nothing at {tenant.slug} from now on.", "Its tokens there stop within a second."]
    else:
        most = ", ".join(allowed.split()) or "everything it is registered for, now and later"
        says = [f"{name} works at {tenant.slug} once it is approved, for at most {most}."]
        if form.cleaned_data["skips_consent"]:
            says.append("Clinicians whom an EHR launches into it are not asked. This weakens a rule.")
    if form.cleaned_data["note"].strip():
        says.append(f"Its owner reads: {form.cleaned_data['note'].strip()}")
    button = "Switch off" if allowed is None else "Switch on"
    title = f"{button} {name} at {tenant.slug}?"
    return confirmation(
        request, title, says=says, button=button, trail=_trail(client), is_grave=form.allowed_scope is None
    )


def _show(
    request: HttpRequest,
    client: Client,
    tenant: Tenant,
    activation: Activation | None,
    form: SwitchForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    ticked = set(form["keep"].value() or ())
    info = find_tenant(tenant.slug)
    facts = {
        "probe": probe(client.client_id, info, now=timezone.now()) if info else None,
        "client": client,
        "tenant": tenant,
        "activation": activation,
        "seen": version_of(activation),
        "form": form,
        "scopes": [(one, one.text in ticked) for one in scopes_in_words(dict.fromkeys(split_scope(client.scope)))],
        "may_switch": request.user.has_perm("clients.change_activation"),
        "problem": problem,
    }
    title = f"{client.name or client.client_id} at {tenant.name or tenant.slug}"
    return page(request, "admin/clients/at_tenant.html", title, trail=_trail(client), status=status, **facts)


def _trail(client: Client) -> Trail:
    here = reverse("admin:clients_client_page", args=[client.pk])
    return (("Clients", reverse("admin:clients_client_changelist")), (client.name or client.client_id, here))
