"""Writing a consent only while all that the answer was based on still holds.

Between reading the form and writing the code the records are asked, which takes its time, and what this process
remembers of clients and tenants may be a second old.
"""

from django.http import HttpRequest

from smartauth import tokens
from smartauth.errors import Refusal
from smartauth.models import Authorization
from smartauth.policy.relations import may_act_for
from smartauth.views.consent_answers import Answer
from smartauth.views.continuing import Open

CHANGED = Refusal(
    "consent.changed_meanwhile",
    "the app, the user or a right was changed at the moment of the answer",
    fix="Nothing to do: the page is shown again as it is now, or says why it is not.",
)


class ChangedMeanwhile(Exception):
    """What the answer was based on changed while it was being given; nothing was written."""


def hold(request: HttpRequest, opened: Open, answer: Answer) -> None:
    """Keep everything that the consent stands on as it is until the transaction ends. Raises ChangedMeanwhile."""
    found = tokens.hold_ground(opened.pending, session_key=request.session.session_key, now=opened.now)
    if found is None or not _is_as_it_was(found, request, opened):
        raise ChangedMeanwhile
    if answer.terms.unasked == Authorization.Unasked.OPERATOR and not found.skips_consent:
        raise ChangedMeanwhile
    if answer.follows is not None and not tokens.hold_answer(answer.follows, opened.now):
        raise ChangedMeanwhile


def _is_as_it_was(found: tokens.Ground, request: HttpRequest, opened: Open) -> bool:
    client = opened.client
    return (
        found.stands
        and found.redirect_uris == client.redirect_uris
        and (found.registered_scope, found.grant_types) == (client.scope, client.grant_types)
        and found.allowed_scope == client.activations.get(opened.tenant.slug)
        and found.sensitive == opened.tenant.policy.sensitive_categories
        # A new password ends every session but the one it was changed in, and all that was granted before.
        and found.password == request.user.password
        and found.fhir_user == opened.person.fhir_user
        and may_act_for(opened.pending.patient or None, fhir_user=found.fhir_user, related=found.related)
    )
