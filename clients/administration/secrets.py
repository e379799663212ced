"""The page of a client's secrets: a new one shown once, and the one before ended. No page ever shows a stored one."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.acting import NotPossible, operator
from clients.client_secrets import LONGEST_LIFETIME, LONGEST_OVERLAP, SHORTEST_LIFETIME, issue_secret, withdraw_previous
from clients.models import WITH_SECRET, Client
from smartauth.administration.pages import page, staff_page
from smartauth.context import context_of

ISSUE, WITHDRAW = "issue", "withdraw"


class SecretForm(forms.Form):
    """How long a new secret is good, and how long the one before stays good beside it; in days."""

    act = forms.ChoiceField(choices=[(ISSUE, ISSUE), (WITHDRAW, WITHDRAW)])
    days = forms.IntegerField(
        required=False,
        min_value=SHORTEST_LIFETIME.days,
        max_value=LONGEST_LIFETIME.days,
        label="Good for so many days",
        help_text="Empty: until another takes its place.",
    )
    overlap = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_OVERLAP.days,
        initial=LONGEST_OVERLAP.days,
        label="Days for which the present one stays good beside it",
        help_text="0 ends it at once: after it got into wrong hands.",
    )


@staff_page("clients.change_client", "GET", "POST")
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask how long, then show a new secret, this once; or end the one before."""
    client = get_object_or_404(Client, pk=pk)
    if client.token_endpoint_auth_method not in WITH_SECRET:
        raise Http404
    form = SecretForm(request.POST if request.method == "POST" else None)
    problem, status = "", 200
    if form.is_valid():
        try:
            if form.cleaned_data["act"] == WITHDRAW:
                return _withdraw(request, client)
            return _issue(request, client, form)
        except NotPossible as error:
            problem, status = f"Nothing was done: {error.refusal.reason}. {error.refusal.fix}", error.status
    here = reverse("admin:clients_client_page", args=[client.pk])
    name = client.name or client.client_id
    facts = {"client": client, "form": form, "problem": problem, "here": here}
    trail = (("Clients", reverse("admin:clients_client_changelist")), (name, here))
    return page(request, "admin/clients/secret.html", f"Secret of {name}", trail=trail, status=status, **facts)


def show_once(request: HttpRequest, client: Client, shown: str) -> HttpResponse:
    """Answer with a secret in this very page: a message would put it into a cookie or a session row first."""
    trail = (("Clients", reverse("admin:clients_client_changelist")),)
    facts = {"client": client, "secret": shown}
    response = page(request, "admin/clients/new_secret.html", "New client secret", trail=trail, **facts)
    response["Cache-Control"] = "no-store"
    return response


def _issue(request: HttpRequest, client: Client, form: SecretForm) -> HttpResponse:
    days, overlap = form.cleaned_data["days"], form.cleaned_data["overlap"]
    issued = issue_secret(
        client.client_id,
        by=operator(request.user.pk),
        context=context_of(request),
        now=timezone.now(),
        lifetime=None if days is None else timedelta(days=days),
        overlap=LONGEST_OVERLAP if overlap is None else timedelta(days=overlap),
    )
    return show_once(request, client, issued.secret)


def _withdraw(request: HttpRequest, client: Client) -> HttpResponse:
    withdraw_previous(client.client_id, by=operator(request.user.pk), context=context_of(request))
    messages.success(request, "The secret before the present one is good no more.")
    return HttpResponseRedirect(reverse("admin:clients_client_page", args=[client.pk]))
