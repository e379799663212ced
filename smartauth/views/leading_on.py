"""Where pages that end a launch, or interrupt it, send people next."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_noop as _

START_AGAIN = _("Go back to the app and start again.")
NOTHING_SHARED = _("Nothing was shared.")
CANNOT_START = _("This app cannot start here")
TELL_THEM = _("Tell the maker of the app, and give them the number below.")
NOT_ITS_ADDRESS = _("The app that sent you here asks to be answered at an address that is not its own.")


def by_way_of(name: str, request: HttpRequest) -> HttpResponse:
    """Send the browser to a page about its session, and from there back to where it is."""
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode({'next': request.path})}")
