"""The pages on which signing in at the provider ends: what people are told, in none of the provider's words."""

from collections.abc import Mapping

from django.utils.text import capfirst
from django.utils.translation import gettext_noop as _

from smartauth.browser import PageRefused
from smartauth.conf import UpstreamIdp
from smartauth.errors import Refusal
from smartauth.people.upstream.answers import UnreadableAnswer
from smartauth.people.upstream.asking import provider_name
from smartauth.people.upstream.fetching import ProviderRefused, ProviderUnavailable
from smartauth.people.upstream.identities import DeactivatedPerson, UnknownPerson

START_AGAIN = _("Start again where you came from.")


def switched_off() -> PageRefused:
    """Return the page where there is no provider to sign in at."""
    fix = "Set SMARTAUTH_UPSTREAM_IDP_ISSUER and SMARTAUTH_UPSTREAM_IDP_CLIENT_ID, if there is one."
    refusal = Refusal("upstream.off", "no identity provider is configured", fix=fix)
    return _page(refusal, _("There is no such page"), _("Sign in with your user name and password."), status=404)


def nobodys_answer() -> PageRefused:
    """Return the page for an answer that belongs to nothing we remember."""
    reason = "the answer belongs to no sign-in that was begun in this browser session"
    fix = "Begin anew. Where it happens to everybody: cookies are kept from coming back, or the provider changes state."
    advice = _("It was begun in another browser, answered before, or took too long.")
    return _page(Refusal("upstream.state", reason, fix=fix), _("This sign-in cannot be finished"), advice, START_AGAIN)


def explained(idp: UpstreamIdp, error: ProviderRefused) -> PageRefused:
    """Return the page for a person who cannot be let in."""
    if isinstance(error, UnreadableAnswer):
        return _page(error.refusal, _("The answer cannot be read"), START_AGAIN)
    if isinstance(error, ProviderUnavailable):
        return unavailable(idp, error, START_AGAIN)  # Loading this page again would not: its answer was taken.
    provider = {"provider": provider_name(idp)}
    beginning = {"provider": _beginning(idp)}
    if isinstance(error, UnknownPerson):
        advice = (
            _("You are signed in at %(provider)s, but nobody made an account for you here."),
            _("Ask the operator of this server for one, and give them the number below."),
        )
        return _page(error.refusal, _("You have no account here yet"), *advice, values=provider, status=403)
    if isinstance(error, DeactivatedPerson):
        advice = (_("It has been deactivated."), _("Ask the operator of this server."))
        return _page(error.refusal, _("Your account is closed"), *advice, status=403)
    if error.refusal.rule == "upstream.other_user":
        advice = (
            _("At %(provider)s you are not the person you are here."),
            _("Sign out here first, or there."),
        )
        return _page(error.refusal, _("You are signed in as somebody else"), *advice, values=provider, status=403)
    if error.refusal.rule == "upstream.error":
        advice = (_("%(provider)s did not let you in."), START_AGAIN)
        return _page(error.refusal, _("You were not signed in"), *advice, values=beginning, status=403)
    advice = (
        _("What %(provider)s said about you cannot be used, so nobody was signed in."),
        _("Tell the operator of this server the number below."),
    )
    return _page(error.refusal, _("Signing in did not work"), *advice, values=provider, status=502)


def unavailable(idp: UpstreamIdp, error: ProviderUnavailable, *more: str) -> PageRefused:
    """Return the page where the provider does not do its part. more: what else to tell people."""
    advice = (
        _("%(provider)s does not answer as it should."),
        _("Wait a little and try again, or use a password if you have one."),
        *more,
    )
    title = _("Signing in is not possible there at the moment")
    return _page(error.refusal, title, *advice, values={"provider": _beginning(idp)}, status=503)


def _beginning(idp: UpstreamIdp) -> str:
    """Return the provider's name as a sentence begins with it. A name that the operator wrote stays as it is."""
    return idp.name or capfirst(provider_name(idp))


def _page(
    refusal: Refusal, title: str, *advice: str, values: Mapping[str, object] | None = None, status: int = 400
) -> PageRefused:
    return PageRefused(refusal, title=title, advice=advice, values=values, status=status)
