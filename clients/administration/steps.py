"""Suspending, resuming and retiring a client: a page each, which says what follows and asks why."""

from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from clients.acting import LONGEST_REASON, NotPossible, operator
from clients.lifecycle import STEPS, take_step
from clients.models import Client
from smartauth.administration.pages import page, staff_page
from smartauth.context import context_of


@dataclass(frozen=True, slots=True)
class StepPage:
    """What the page of a step says."""

    button: str
    follows: tuple[str, ...]
    done: str
    is_grave: bool = False


PAGES = {
    "suspended": StepPage(
        "Suspend",
        (
            "It can do nothing from now on, at any tenant.",
            "Every token and every permission people gave it ends within a second.",
            "It can be resumed later; people will be asked for their permission again.",
        ),
        "is suspended",
        is_grave=True,
    ),
    "resumed": StepPage(
        "Resume",
        ("It works again at every tenant where it is active.", "People are asked for their permission again."),
        "works again",
    ),
    "retired": StepPage(
        "Retire",
        (
            "It can do nothing from now on, and that cannot be undone.",
            "Every token and every permission people gave it ends within a second.",
            "Its client_id is never given to another app.",
        ),
        "is retired",
        is_grave=True,
    ),
}


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: object, is_required: bool) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.fields["reason"].required = is_required
        self.fields["reason"].error_messages["required"] = "It takes a reason. The owner of the client reads it."


@staff_page("clients.change_client", "GET", "POST")
def step(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show what a step means, and take it once a reason is given."""
    if name not in PAGES:
        raise Http404
    client = get_object_or_404(Client, pk=pk)
    needed = STEPS[name].needs_reason or PAGES[name].is_grave
    form = ReasonForm(request.POST if request.method == "POST" else None, is_required=needed)
    here = reverse("admin:clients_client_page", args=[client.pk])
    problem, status = "", 200
    if form.is_valid():
        try:
            by, reason = operator(request.user.pk), form.cleaned_data["reason"]
            take_step(client.client_id, name, by=by, context=context_of(request), reason=reason)
        except NotPossible as error:
            client.refresh_from_db()
            problem, status = f"Nothing was done: {error.refusal.reason}. {error.refusal.fix}", error.status
        else:
            messages.success(request, f"{client.name or client.client_id} {PAGES[name].done}.")
            return HttpResponseRedirect(here)
    shown = client.name or client.client_id
    facts = {"client": client, "form": form, "step": PAGES[name], "problem": problem, "here": here}
    trail = (("Clients", reverse("admin:clients_client_changelist")), (shown, here))
    title = f"{PAGES[name].button} {shown}?"
    return page(request, "admin/clients/step.html", title, trail=trail, status=status, **facts)
