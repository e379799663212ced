"""The page on which an app under development is registered for the sandbox, and what its developer has to know then."""

from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from smartauth import endpoints
from smartauth.conf import config
from smartauth.sandbox.launcher import cast
from smartauth.sandbox.launcher.choices import NAMES, forget, read
from smartauth.sandbox.launcher.kinds import KINDS, STANDALONE
from smartauth.sandbox.launcher.registering import PROOFS, Described, register, same
from smartauth.sandbox.launcher.registering import read as read_app
from smartauth.sandbox.seed import TENANT

FIELDS = tuple(Described.__dataclass_fields__)


@require_http_methods(["GET", "HEAD", "POST"])
def register_app(request: HttpRequest) -> HttpResponse:
    """Show the form, or register what it says. The address keeps what was chosen for the launch, and fills in none."""
    if request.method != "POST":
        return _form(request, Described(), {})
    found, wrong = read_app({name: request.POST[name] for name in FIELDS if name in request.POST})
    if wrong:
        return _form(request, found, wrong)
    before = same(found)
    if before is not None:
        return HttpResponseRedirect(_launcher(request, before.client_id, has_launch_url=bool(found.launch_url)))
    registered, wrong = register(found, owner=request.user.pk if request.user.is_authenticated else None)
    if registered is None:
        return _form(request, found, wrong)
    facts = {
        "client": registered.client,
        "secret": registered.secret,
        "fhir_base": endpoints.fhir_base(TENANT),
        "launch": _launcher(request, registered.client.client_id, has_launch_url=bool(found.launch_url)),
    }
    return render(request, "launcher/registered.html", facts)


def _form(request: HttpRequest, found: Described, wrong: dict[str, str]) -> HttpResponse:
    facts = {
        "found": found,
        "problems": wrong,
        "proofs": PROOFS.items(),
        "host": urlsplit(config().base_url).hostname,
        "back": _launcher(request),
    }
    return render(request, "launcher/register.html", facts, status=400 if wrong else 200)


def _launcher(request: HttpRequest, client_id: str = "", *, has_launch_url: bool = True) -> str:
    """Return the address of the launcher with what was chosen there before, and the app where there is one."""
    known = cast.known(timezone.now())
    given = {name: request.GET[name] for name in NAMES if name in request.GET}
    kept = dict(forget(*read(given, known)).as_pairs())
    if client_id:
        kept["client"] = client_id
        kind = KINDS[kept.get("kind", "provider-ehr")]
        if not (kind.from_ehr and has_launch_url):
            kept["kind"] = STANDALONE
    return f"{reverse('launcher')}?{urlencode(kept)}"
