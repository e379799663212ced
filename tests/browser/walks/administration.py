"""The pages of the hospital: what waits, what is decided, and every model that staff may look at."""

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from clients.models import Client, KeyFinding
from clients.registration import register_client
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.browser.judge import Judge
from tests.browser.walks.people import EVIL, LONG, enter, make_user
from tests.world import World, tenant_of

Go = Callable[[str, str], None]


def make_waiting(world: World, name: str) -> Client:
    """Register an app that waits, with everything there is to look at twice."""
    metadata = {
        "client_name": name,
        "publisher": EVIL,
        "purpose": "Shows how children grow.",
        "client_uri": "https://www.example.com/",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": [f"https://growth.example.org/{LONG}"],
        "scope": "launch/patient offline_access patient/*.rs patient/Observation.cruds",
    }
    client = register_client(metadata, operator=False, approved=False, propose_at=[tenant_of(world)]).client
    now = timezone.now()
    KeyFinding.objects.create(client=client, kind="empty", first_seen_at=now, last_seen_at=now)
    return client


def walk(page: Page, world: World, judge: Judge) -> None:
    """Review an app, stop it, explain why it is refused, and look at every table."""
    make_user("root", is_staff=True, is_superuser=True)
    make_user("officer", is_staff=True).groups.set(Group.objects.filter(name="Security officer"))
    app = make_waiting(world, f"Gr0wth {EVIL}")

    def go(path: str, name: str) -> None:
        page.goto(f"{world.base_url}{path}")
        judge(page, f"admin, {name}")

    page.goto(f"{world.base_url}/admin/")
    enter(page, "root")
    judge(page, "admin, front")
    _review(page, world, judge, go, app)
    _look_at_models(page, world, judge)
    page.context.clear_cookies()
    page.request.post(world.token_url, form={"grant_type": "client_credentials", "client_id": app.client_id})
    trace = Receipt.objects.filter(client_id=app.client_id).latest("at").trace_id
    page.goto(f"{world.base_url}/admin/receipts/receipt/trace/")
    enter(page, "officer")
    judge(page, "admin, trace")
    page.get_by_label("Trace id").fill(EVIL)
    page.get_by_label("Trace id").press("Enter")
    judge(page, "admin, trace that is none")
    go(f"/admin/receipts/receipt/trace/?trace={trace}", "receipt")
    go(f"/admin/clients/client/{app.pk}/review/", "review, only to look at")
    go("/admin/people/user/add/", "403")


def _review(page: Page, world: World, judge: Judge, go: Go, app: Client) -> None:
    here = f"/admin/clients/client/{app.pk}/"
    for path, name in {
        "/admin/clients/client/review/": "queue",
        f"{here}review/": "review",
        f"{here}at/{world.tenant}/": "client at a tenant",
        f"{here}secret/": "secret",
    }.items():
        go(path, name)
    page.get_by_role("button", name="Issue a new secret").click()
    expect(page.get_by_text("shown this once")).to_be_visible()
    judge(page, "admin, new secret")
    page.goto(f"{world.base_url}{here}at/{world.tenant}/")
    page.get_by_role("button", name="Switch on").click()
    judge(page, "admin, confirmation")
    page.goto(f"{world.base_url}{here}review/")
    page.get_by_label("Decline").check()
    page.get_by_role("button", name="Continue").click()
    judge(page, "admin, review with something missing")
    page.get_by_label("To the owner").fill(EVIL)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Decline").click()
    page.wait_for_url("**/admin/clients/client/review/")
    go(here, "client")
    Client.objects.filter(pk=app.pk).update(status="approved")
    go(f"{here}review/", "nothing waits")
    go(f"{here}step/retired/", "retire")
    cardio = Client.objects.get(client_id="cardio")
    go(f"/admin/clients/client/{cardio.pk}/", "client with keys")
    page.get_by_role("button", name="Test its keys now").click()
    judge(page, "admin, test of keys")
    go(f"/admin/smartauth/authorization/of/{cardio.pk}/revoke/", "revoke")
    page.goto(f"{world.base_url}/admin/fhirproxy/upstream/simulate/")
    for label, text in {
        "Client id": "cardio",
        "Tenant": world.tenant,
        "Request": f"GET Observation?code={EVIL}",
    }.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Request").press("Enter")
    judge(page, "admin, simulator")


def _look_at_models(page: Page, world: World, judge: Judge) -> None:
    """Look at each table, at its newest row, and at the form for another where rows are made by hand."""

    def go(path: str, name: str) -> None:
        page.goto(f"{world.base_url}{path}")
        judge(page, f"admin, {name}", brief=True)

    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        go(reverse(f"admin:{name}_changelist"), f"list of {name}")
        newest = model._default_manager.order_by("-pk").first()
        if newest is not None:
            go(reverse(f"admin:{name}_change", args=[newest.pk]), f"one {name}")
        if page.request.get(f"{world.base_url}{reverse(f'admin:{name}_add')}").status == 200:
            go(reverse(f"admin:{name}_add"), f"another {name}")
    ana = User.objects.get(username="ana")
    go(reverse("admin:people_user_change", args=[ana.pk]), "a user who acts for others")
    for act in ("history", "delete"):
        go(reverse(f"admin:people_user_{act}", args=[ana.pk]), f"{act} of a user")
    go(reverse("admin:auth_user_password_change", args=[ana.pk]), "password of a user")
    go(reverse("admin:app_list", args=["clients"]), "one app")
    page.goto(f"{world.base_url}/admin/")
    page.locator("#logout-form button").click()
    judge(page, "admin, signed out")
