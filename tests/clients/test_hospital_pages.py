"""The hospital's own pages of the registry: what waits, deciding about it, switching on, and stopping."""

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from clients.acting import owner
from clients.administration.queue import business_days
from clients.changes import request_change
from clients.key_pairs import KeyPair
from clients.models import Activation, ChangeRequest, Client, ClientEvent, KeyFinding, KeyWatchRound, Review, Tenant
from clients.registration import describe_metadata, register_client
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.marks.models import Mark
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.clients.jwks_host import JwksHost, Page
from tests.clients.registry_site import change_url
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, phone_app, service, web_app

QUEUE = "/admin/clients/client/review/"
SCOPES = "launch/patient patient/Observation.rs"
EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def kim(db: None) -> User:
    return User.objects.create_user("kim", password="not used here")


@pytest.fixture
def registrar(db: None) -> Browser:
    return staff("Registrar", name="rita")


def staff(role: str, *, name: str) -> Browser:
    user = User.objects.create_user(name, password="not used here", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(user)
    return browser


def submitted(kim: User, **members: Any) -> Client:
    metadata = phone_app(client_name="Chart", scope=SCOPES, publisher="Kim Inc", purpose="Shows growth.") | members
    return register_client(metadata, operator=False, approved=False, owner=kim.pk).client


def asked_for(configure: Configure, client: Client, kim: User, **changes: Any) -> None:
    """Have the owner ask for a change; the sandbox would put it in force at once."""
    configure(mode="production")
    metadata = {**describe_metadata(client), **changes}
    request_change(client.client_id, metadata, by=owner(kim.pk), context=new_context())
    configure(mode="sandbox")


def review_url(client: Client) -> str:
    return reverse("admin:clients_client_review", args=[client.pk])


def page_url(client: Client) -> str:
    return reverse("admin:clients_client_page", args=[client.pk])


def seen_on(browser: Browser, url: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', browser.get(url).content.decode())
    assert found is not None
    return html.unescape(found[1])


def verdict(browser: Browser, client: Client, outcome: str, **said: Any) -> dict[str, Any]:
    checks = ["publisher", "purpose", "scopes", "hosts"]
    seen = said.pop("seen", None) or seen_on(browser, review_url(client))
    return {"seen": seen, "outcome": outcome, "checked": checks, "keep": client.scope.split(), **said}


class TestReview:
    """One page for each client that waits."""

    def test_the_queue_has_clients_and_changes_oldest_first_and_says_what_to_look_at(
        self, registrar: Browser, kim: User, configure: Configure
    ) -> None:
        approved = make_client(web_app(client_name="Cardio"), owner=kim.pk).client
        asked_for(configure, approved, kim, scope="patient/*.cruds")
        submitted(kim)
        page = registrar.get(QUEUE).content.decode()
        assert page.index("Cardio") < page.index("Chart")
        assert ("Change" in page, "New client" in page, "2 first" in page) == (True, True, True)

    def test_a_client_is_approved_after_asking_once_more(self, registrar: Browser, kim: User) -> None:
        client = submitted(kim)
        said = verdict(registrar, client, "approved", note="Called them.")
        asked = registrar.post(review_url(client), said)
        client.refresh_from_db()
        assert (asked.status_code, client.status) == (200, "submitted")
        assert "is approved with everything it asks for" in asked.content.decode()
        done = registrar.post(review_url(client), {**said, "confirmed": "yes"})
        client.refresh_from_db()
        assert (done.status_code, done["Location"], client.status) == (302, QUEUE, "approved")
        review = Review.objects.get()
        assert (review.user.username, review.note, len(review.checked)) == ("rita", "Called them.", 4)
        assert "proof.none" in review.hints
        assert "client:" + client.client_id in set(Mark.objects.values_list("tag", flat=True))

    def test_what_the_confirmation_sends_again_is_what_was_decided(self, registrar: Browser, kim: User) -> None:
        client = submitted(kim)
        said = verdict(registrar, client, "declined", reason=EVIL)
        page = registrar.post(review_url(client), said).content.decode()
        hidden = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page)
        again = [(name, html.unescape(value)) for name, value in hidden if name != "csrfmiddlewaretoken"]
        expected = [(n, v) for n, values in said.items() for v in (values if isinstance(values, list) else [values])]
        assert sorted(again) == sorted(expected)
        assert EVIL not in page

    def test_going_back_loses_nothing_typed(self, registrar: Browser, kim: User) -> None:
        client = submitted(kim)
        said = verdict(registrar, client, "declined", reason="Who are you?", keep=[])
        page = registrar.post(review_url(client), {**said, "back": "yes"}).content.decode()
        assert "Who are you?" in page
        assert 'name="outcome" value="declined" checked' in page
        assert 'value="patient/Observation.rs" checked' not in page

    @pytest.mark.parametrize(
        ("outcome", "said", "told"),
        [
            ("declined", {}, "It takes a reason."),
            ("", {"reason": "Typed."}, "Choose what becomes of it."),
            ("approved", {"keep": ["launch/patient"], "reason": "Typed."}, "Scopes are unticked."),
            ("narrowed", {"reason": "Typed."}, "Untick the scopes it shall not get."),
            ("approved", {"checked": [], "reason": "Typed."}, "Not everything on the checklist is ticked."),
        ],
    )
    def test_what_is_missing_is_said_at_its_place_and_nothing_is_lost(
        self, registrar: Browser, kim: User, outcome: str, said: dict[str, Any], told: str
    ) -> None:
        client = submitted(kim)
        form = verdict(registrar, client, outcome, **said) | {"confirmed": "yes"}
        page = registrar.post(review_url(client), form)
        assert (page.status_code, told in page.content.decode()) == (200, True)
        assert said.get("reason", "") in page.content.decode()
        client.refresh_from_db()
        assert client.status == "submitted"

    def test_fewer_scopes_and_an_activation_go_in_one_step(self, registrar: Browser, kim: User) -> None:
        tenant = make_tenant()
        metadata = phone_app(client_name="Chart", scope=SCOPES)
        client = register_client(metadata, operator=False, approved=False, owner=kim.pk, propose_at=[tenant]).client
        narrowed = {
            "keep": ["patient/Observation.rs"],
            "activate": ["sandbox"],
            "allowed_sandbox": "patient/Observation.r",
        }
        said = verdict(registrar, client, "narrowed", **narrowed)
        page = registrar.post(review_url(client), said).content.decode()
        assert "approved without launch/patient" in page
        assert "active at sandbox from now on, for at most patient/Observation.r" in page
        registrar.post(review_url(client), {**said, "confirmed": "yes"})
        client.refresh_from_db()
        assert (client.status, client.scope) == ("approved", "patient/Observation.rs")
        assert list(Activation.objects.values_list("is_active", "allowed_scope")) == [(True, "patient/Observation.r")]

    def test_a_scope_that_cannot_be_read_is_told_at_its_field(self, registrar: Browser, kim: User) -> None:
        tenant = make_tenant()
        client = register_client(
            phone_app(scope=SCOPES), operator=False, approved=False, owner=kim.pk, propose_at=[tenant]
        ).client
        said = verdict(registrar, client, "approved", activate=["sandbox"], allowed_sandbox="patient/Nothing.rs")
        page = registrar.post(review_url(client), {**said, "confirmed": "yes"}).content.decode()
        assert "patient/Nothing.rs: " in page
        assert not Activation.objects.filter(is_active=True).exists()

    def test_before_and_after_of_a_change_can_be_read(
        self, registrar: Browser, kim: User, configure: Configure
    ) -> None:
        client = make_client(web_app(client_name="Cardio", scope="patient/Patient.rs"), owner=kim.pk).client
        wanted = {"client_name": "Heart", "scope": "patient/Patient.rs patient/Device.rs"}
        asked_for(configure, client, kim, **wanted)
        page = registrar.get(review_url(client)).content.decode()
        for shown in ("<del><bdi>Cardio</bdi></del>", "<ins><bdi>Heart</bdi></ins>"):
            assert shown in page
        assert "<ins><bdi>patient/Device.rs</bdi></ins>" in page
        said = verdict(registrar, client, "approved", keep=wanted["scope"].split(), note="Fine.", confirmed="yes")
        assert registrar.post(review_url(client), said).status_code == 302
        client.refresh_from_db()
        assert (client.name, ChangeRequest.objects.get().state) == ("Heart", "approved")

    def test_what_was_declined_waits_no_more_and_may_be_approved_after_all(self, registrar: Browser, kim: User) -> None:
        client = submitted(kim)
        said = verdict(registrar, client, "declined", reason="No.", confirmed="yes")
        assert registrar.post(review_url(client), said).status_code == 302
        assert review_url(client) not in registrar.get(QUEUE).content.decode()
        assert "Approve after all" in registrar.get(page_url(client)).content.decode()
        page = registrar.get(review_url(client)).content.decode()
        assert ("It was declined" in page, 'value="declined"' in page) == (True, False)
        client.refresh_from_db()
        said = verdict(registrar, client, "approved", note="They called.", confirmed="yes")
        assert registrar.post(review_url(client), said).status_code == 302
        client.refresh_from_db()
        assert client.status == "approved"

    def test_what_the_rules_forbid_by_now_is_told_and_nothing_is_lost(
        self, registrar: Browser, kim: User, ec: KeyPair, configure: Configure
    ) -> None:
        configure(assertion_algorithms=("RS384", "ES384", "ES256"))
        metadata = service(jwks=ec.jwks, scope="system/Patient.rs system/Device.rs")
        client = make_client(metadata | {"token_endpoint_auth_signing_alg": "ES256"}, status="submitted").client
        said = verdict(registrar, client, "narrowed", keep=["system/Patient.rs"], note="Typed.", checked=[])
        configure(assertion_algorithms=("RS384", "ES384"))
        page = registrar.post(review_url(client), said | {"confirmed": "yes"})
        assert (page.status_code, "Typed." in page.content.decode()) == (409, True)
        assert "The rules do not allow it any more: token_endpoint_auth_signing_alg" in page.content.decode()
        client.refresh_from_db()
        assert (client.status, client.scope) == ("submitted", metadata["scope"])


class TestTwoOfficers:
    """Who comes second decides nothing, is told so, and loses nothing."""

    def test_the_second_reads_what_became_of_it_and_what_was_typed(self, registrar: Browser, kim: User) -> None:
        other = staff("Registrar", name="otto")
        client = submitted(kim)
        mine = verdict(registrar, client, "declined", reason="Mine, typed for a quarter of an hour.")
        theirs = verdict(other, client, "approved", note="Fine.")
        other.post(review_url(client), {**theirs, "confirmed": "yes"})
        page = registrar.post(review_url(client), {**mine, "confirmed": "yes"})
        text = page.content.decode()
        assert page.status_code == 409
        assert "Mine, typed for a quarter of an hour." in text
        assert "otto, approved" in text
        client.refresh_from_db()
        assert (client.status, Review.objects.count()) == ("approved", 1)

    def test_a_client_that_was_submitted_anew_meanwhile_is_shown_as_it_is(self, registrar: Browser, kim: User) -> None:
        client = submitted(kim)
        mine = verdict(registrar, client, "approved", note="Fine.")
        client.name = "Bank"
        client.save()
        page = registrar.post(review_url(client), {**mine, "confirmed": "yes"})
        assert page.status_code == 409
        assert "no longer what you looked at" in page.content.decode()
        assert ("Bank" in page.content.decode(), "Fine." in page.content.decode()) == (True, True)
        client.refresh_from_db()
        assert client.status == "submitted"

    def test_an_activation_is_decided_once(self, registrar: Browser, kim: User) -> None:
        other, tenant = staff("Registrar", name="otto"), make_tenant()
        client = make_client(phone_app(scope=SCOPES), propose_at=[tenant]).client
        url = reverse("admin:clients_client_at", args=[client.pk, "sandbox"])
        seen = seen_on(registrar, url)
        on = {"seen": seen, "act": "on", "most": "whole", "confirmed": "yes"}
        assert other.post(url, on).status_code == 302
        page = registrar.post(url, {"seen": seen, "act": "off", "note": "Mine.", "confirmed": "yes"})
        assert (page.status_code, "Mine." in page.content.decode()) == (409, True)
        assert Activation.objects.get().is_active

    def test_who_suspends_second_is_told(self, registrar: Browser) -> None:
        client = make_client(phone_app()).client
        url = reverse("admin:clients_client_step", args=[client.pk, "suspended"])
        assert registrar.post(url, {"reason": "Leaked."}).status_code == 302
        page = registrar.post(url, {"reason": "Leaked, too."})
        assert (page.status_code, "Leaked, too." in page.content.decode()) == (409, True)
        assert ClientEvent.objects.count() == 1


class TestTenants:
    """Where a client works, and for how much."""

    @pytest.fixture
    def client(self, db: None) -> Client:
        tenant = make_tenant()
        return make_client(phone_app(scope=f"{SCOPES} patient/Device.rs"), propose_at=[tenant]).client

    @pytest.fixture
    def url(self, client: Client) -> str:
        return reverse("admin:clients_client_at", args=[client.pk, "sandbox"])

    @pytest.mark.parametrize(
        ("said", "allowed"),
        [
            ({"most": "whole"}, ""),
            ({"most": "chosen", "keep": ["patient/Device.rs"]}, "patient/Device.rs"),
            (
                {"most": "chosen", "keep": ["launch/patient"], "more": "patient/Observation.r\npatient/Patient.r"},
                "launch/patient patient/Observation.r patient/Patient.r",
            ),
        ],
    )
    def test_it_is_switched_on_for_at_most_what_is_chosen(
        self, registrar: Browser, url: str, said: dict[str, Any], allowed: str
    ) -> None:
        form = {"seen": seen_on(registrar, url), "act": "on", **said}
        assert registrar.post(url, form).status_code == 200
        assert not Activation.objects.get().is_active
        assert registrar.post(url, {**form, "confirmed": "yes"}).status_code == 302
        row = Activation.objects.get()
        assert (row.is_active, row.allowed_scope) == (True, allowed)
        assert AuditRecord.objects.filter(rule="activation.activated", tenant="sandbox").count() == 1
        page = registrar.get(url).content.decode()
        assert all(f">{one}<" in page or one in page for one in allowed.split())

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"act": "off"}, "It takes a note."),
            ({"act": "on", "most": "chosen"}, "Tick at least one scope"),
            ({"act": "on", "most": "chosen", "more": "patient/Nothing.rs"}, "patient/Nothing.rs: "),
        ],
    )
    def test_what_is_missing_is_told_and_nothing_changes(
        self, registrar: Browser, url: str, said: dict[str, Any], told: str
    ) -> None:
        page = registrar.post(url, {"seen": seen_on(registrar, url), "confirmed": "yes", **said})
        assert (page.status_code, told in page.content.decode()) == (200, True)
        assert Activation.objects.get().decided_at is None

    def test_it_is_declined_with_a_note_and_waits_no_more(self, registrar: Browser, url: str) -> None:
        waiting = "/admin/clients/activation/?state=waiting"
        assert "Decline" in registrar.get(url).content.decode()
        assert (
            "0 of" in registrar.get(waiting).content.decode()
            or "1 activation" in registrar.get(waiting).content.decode()
        )
        form = {"seen": seen_on(registrar, url), "act": "off", "note": "Not here.", "confirmed": "yes"}
        assert registrar.post(url, form).status_code == 302
        assert "0 activations" in registrar.get(waiting).content.decode()
        assert Activation.objects.get().note == "Not here."

    def test_one_that_asks_nothing_from_anybody_is_switched_on_too(self, registrar: Browser, client: Client) -> None:
        make_tenant("north")
        url = reverse("admin:clients_client_at", args=[client.pk, "north"])
        form = {"seen": seen_on(registrar, url), "act": "on", "most": "whole", "confirmed": "yes"}
        assert registrar.post(url, form).status_code == 302
        assert Activation.objects.get(tenant__slug="north").is_active

    def test_at_a_tenant_that_is_not_active_nothing_is_switched(
        self, registrar: Browser, client: Client, url: str
    ) -> None:
        seen = seen_on(registrar, url)
        Tenant.objects.update(is_active=False)
        page = registrar.post(url, {"seen": seen, "act": "on", "most": "whole", "confirmed": "yes"})
        assert (page.status_code, "the tenant is not active" in page.content.decode()) == (409, True)


class TestSteps:
    """Suspend, resume, retire."""

    @pytest.mark.requirement("REG-14")
    @pytest.mark.parametrize(("name", "status"), [("suspended", "suspended"), ("retired", "retired")])
    def test_stopping_asks_why_and_ends_what_was_granted(
        self, registrar: Browser, kim: User, name: str, status: str
    ) -> None:
        tenant = make_tenant()
        client = make_client(phone_app(), activate_at=[tenant]).client
        Authorization.objects.create(
            kind="user", client=client, tenant_id=tenant.pk, user=kim, auth_time=timezone.now()
        )
        url = reverse("admin:clients_client_step", args=[client.pk, name])
        assert "every" in registrar.get(url).content.decode().lower()
        page = registrar.post(url, {"reason": " "})
        client.refresh_from_db()
        assert ("It takes a reason." in page.content.decode(), client.status) == (True, "approved")
        assert registrar.post(url, {"reason": "Its key leaked."})["Location"] == page_url(client)
        client.refresh_from_db()
        assert (client.status, Authorization.objects.get().revoked_by) == (status, "operator")
        assert "Its key leaked." in registrar.get(page_url(client)).content.decode()

    def test_a_suspended_client_is_resumed(self, registrar: Browser) -> None:
        client = make_client(phone_app(), status="suspended").client
        assert "Resume" in registrar.get(page_url(client)).content.decode()
        registrar.post(reverse("admin:clients_client_step", args=[client.pk, "resumed"]), {"reason": ""})
        client.refresh_from_db()
        assert client.status == "approved"

    def test_there_is_no_page_for_a_step_that_is_not_ours(self, registrar: Browser) -> None:
        client = make_client(phone_app(), status="submitted").client
        url = reverse("admin:clients_client_step", args=[client.pk, "approved"])
        assert registrar.post(url, {"reason": "x"}).status_code == 404
        client.refresh_from_db()
        assert client.status == "submitted"


class TestRoles:
    """A registrar decides; a security officer reads and revokes."""

    def test_a_security_officer_reads_and_decides_nothing(self, kim: User) -> None:
        officer, tenant = staff("Security officer", name="sue"), make_tenant()
        client = submitted(kim)
        active = make_client(web_app(scope=SCOPES), activate_at=[tenant]).client
        at = reverse("admin:clients_client_at", args=[active.pk, "sandbox"])
        for url in (QUEUE, review_url(client), page_url(client), page_url(active), at):
            assert officer.get(url).status_code == 200
        said = verdict(officer, client, "approved", confirmed="yes")
        step = reverse("admin:clients_client_step", args=[active.pk, "suspended"])
        off = {"seen": seen_on(officer, at), "act": "off", "note": "x", "confirmed": "yes"}
        for url, form in ((review_url(client), said), (step, {"reason": "x"}), (at, off)):
            assert officer.post(url, form).status_code == 403
        assert not Review.objects.exists()
        assert not ClientEvent.objects.exists()

    @pytest.mark.requirement("REVOKE-10")
    def test_a_security_officer_ends_everything_of_a_client(self, kim: User, registrar: Browser) -> None:
        officer, tenant = staff("Security officer", name="sue"), make_tenant()
        client = make_client(phone_app(), activate_at=[tenant]).client
        for _ in range(2):
            Authorization.objects.create(
                kind="user", client=client, tenant_id=tenant.pk, user=kim, auth_time=timezone.now()
            )
        url = reverse("admin:smartauth_revoke_client", args=[client.pk])
        assert "Revoke all" in officer.get(page_url(client)).content.decode()
        assert "2 authorizations" in officer.get(url).content.decode()
        assert registrar.post(url).status_code == 403
        assert "Revoke all" not in registrar.get(page_url(client)).content.decode()
        officer.post(url)
        assert {one.revoked_by for one in Authorization.objects.all()} == {"administrator"}
        record = AuditRecord.objects.filter(action="revoke").first()
        assert record is not None
        assert record.details["administrator"] == User.objects.get(username="sue").pk

    @pytest.mark.requirement("SEC-13")
    def test_nobody_comes_in_who_is_not_staff(self, kim: User) -> None:
        client = submitted(kim)
        kim.groups.set(Group.objects.all())
        outside = Browser(HTTP_HOST="127.0.0.1:8000")
        outside.force_login(kim)
        names = ("page", "review", "keys", "secret")
        urls = [QUEUE, reverse("admin:receipts_trace"), reverse("admin:smartauth_revoke_client", args=[client.pk])]
        urls += [reverse(f"admin:clients_client_{name}", args=[client.pk]) for name in names]
        urls.append(reverse("admin:clients_client_step", args=[client.pk, "retired"]))
        for url in urls:
            for answer in (outside.get(url), outside.post(url, {"reason": "x"}), Browser().get(url)):
                assert (answer.status_code, "/admin/login/" in answer["Location"]) == (302, True)
        client.refresh_from_db()
        assert client.status == "submitted"

    @pytest.mark.parametrize("role", ["Keys", "People"])
    def test_others_see_none_of_it(self, kim: User, role: str) -> None:
        browser, client = staff(role, name="nobody"), submitted(kim)
        for url in (QUEUE, review_url(client), page_url(client)):
            assert browser.get(url).status_code == 403


class TestKeys:
    """A look at a client's keys before it is approved."""

    def test_a_key_set_is_fetched_when_asked_and_what_is_wrong_is_said(
        self, jwks_host: JwksHost, registrar: Browser, ec: KeyPair
    ) -> None:
        client = make_client(service(jwks_uri=jwks_host.url), status="submitted").client
        url = reverse("admin:clients_client_keys", args=[client.pk])
        assert registrar.get(url).status_code == 405
        healthy = (("Content-Type", "application/json"), ("Cache-Control", "max-age=300"))
        jwks_host.page = Page({"keys": [ec.public_jwk]}, headers=healthy)
        page = registrar.post(url).content.decode()
        assert ("There is nothing to mend" in page, "ec-1" in page) == (True, True)
        jwks_host.publish({**ec.public_jwk, "kid": EVIL})
        assert "<script>alert" not in registrar.post(url).content.decode()
        jwks_host.publish()
        assert "There is something to mend" in registrar.post(url).content.decode()

    def test_registered_keys_are_looked_at_without_a_fetch(self, registrar: Browser, kim: User, ec: KeyPair) -> None:
        client = make_client(service(jwks=ec.jwks), status="submitted", owner=kim.pk).client
        page = registrar.get(review_url(client)).content.decode()
        assert ("Test its keys now" in page, "ec-1" in page) == (True, True)
        page = registrar.post(reverse("admin:clients_client_keys", args=[client.pk])).content.decode()
        assert "There is nothing to mend" in page

    def test_who_has_no_keys_has_no_test_of_them(self, registrar: Browser) -> None:
        client = make_client(phone_app()).client
        assert registrar.post(reverse("admin:clients_client_keys", args=[client.pk])).status_code == 404
        assert "Test its keys" not in registrar.get(page_url(client)).content.decode()


class TestFrontPage:
    """What waits, for who may see it."""

    def test_each_role_sees_what_it_sees_to(self, kim: User, registrar: Browser) -> None:
        tenant = make_tenant()
        client = submitted(kim)
        waiting = make_client(web_app(), propose_at=[tenant]).client
        now = timezone.now()
        KeyFinding.objects.create(client=waiting, kind="unreachable", first_seen_at=now, last_seen_at=now)
        page = registrar.get("/admin/").content.decode()
        for title in ("New clients to review", "Activations to decide about", "Problems with partners"):
            assert title in page
        assert "Changes to review" not in page
        assert review_url(client) not in page
        keys = staff("Keys", name="kay").get("/admin/").content.decode()
        assert ("Nothing waits." in keys, "Its trace id" in keys) == (True, False)

    def test_a_watch_that_stands_still_is_told_where_keys_are_by_url(self, registrar: Browser) -> None:
        assert "nobody watches" not in registrar.get("/admin/").content.decode()
        make_client(service(jwks_uri="https://keys.example.org/jwks.json"))
        assert "the watch has never run" in registrar.get("/admin/").content.decode()
        now = timezone.now()
        row = KeyWatchRound(pk=1, began_at=now, ended_at=now, key_sets=1, fetched=1, new_findings=0)
        row.save()
        assert "nobody watches" not in registrar.get("/admin/").content.decode()
        KeyWatchRound.objects.update(ended_at=now - timedelta(hours=3))
        assert "the watch ended 3" in registrar.get("/admin/").content.decode()

    def test_every_link_of_it_opens(self, kim: User, registrar: Browser) -> None:
        make_client(web_app(), propose_at=[make_tenant()])
        submitted(kim)
        page = registrar.get("/admin/").content.decode()
        links = re.findall(r'<li[^>]*><a href="([^"]+)"><span class="count">', page)
        assert len(links) == 2
        for link in links:
            assert registrar.get(html.unescape(link)).status_code == 200


@pytest.mark.requirement("SEC-10")
@pytest.mark.parametrize(
    "member", ["client_name", "publisher", "purpose", "contacts", "intended_users", "data_sharing"]
)
def test_nothing_a_partner_writes_becomes_markup(registrar: Browser, kim: User, member: str) -> None:
    tenant = make_tenant()
    text = EVIL if member != "contacts" else [EVIL]
    metadata = phone_app(**{"client_name": "Chart", "scope": SCOPES, member: text})
    client = register_client(metadata, operator=False, approved=False, owner=kim.pk, propose_at=[tenant]).client
    at = reverse("admin:clients_client_at", args=[client.pk, "sandbox"])
    step = reverse("admin:clients_client_step", args=[client.pk, "retired"])
    lists = ("/admin/", "/admin/clients/client/", "/admin/clients/activation/", change_url(client))
    for url in (QUEUE, review_url(client), page_url(client), at, step, *lists):
        page = registrar.get(url, follow=True)
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()


@pytest.mark.parametrize(
    "url", [QUEUE, "/admin/clients/client/", "/admin/clients/activation/", "/admin/clients/keyfinding/", "/admin/"]
)
def test_a_long_list_asks_no_more_questions_than_a_short_one(registrar: Browser, kim: User, url: str) -> None:
    tenant, now = make_tenant(), timezone.now()

    def add(count: int, begin: int) -> None:
        for number in range(begin, begin + count):
            metadata = phone_app(client_id=f"app-{number}", client_name=f"App {number}", scope=SCOPES)
            client = make_client(metadata, status="submitted", propose_at=[tenant], owner=kim.pk).client
            KeyFinding.objects.create(client=client, kind="empty", first_seen_at=now, last_seen_at=now)

    def questions() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert registrar.get(url).status_code == 200
        return len(queries)

    add(2, 0)
    questions()  # What is remembered from the first time on is not asked again.
    few = questions()
    add(12, 2)
    assert questions() == few


@pytest.mark.parametrize(
    ("since", "now", "days"),
    [
        ("2026-03-02", "2026-03-02", 0),  # Monday
        ("2026-03-02", "2026-03-06", 4),
        ("2026-03-06", "2026-03-09", 1),  # over a weekend
        ("2026-03-07", "2026-03-08", 0),
        ("2026-03-02", "2026-03-16", 10),
        ("2026-03-01", "2026-04-01", 23),
    ],
)
def test_business_days_leave_weekends_out(since: str, now: str, days: int) -> None:
    assert business_days(datetime.fromisoformat(f"{since}T23:59Z"), datetime.fromisoformat(f"{now}T00:01Z")) == days


def test_who_waits_for_more_than_ten_business_days_is_marked(registrar: Browser, kim: User) -> None:
    client = submitted(kim)
    assert "over ten business days" not in registrar.get(QUEUE).content.decode()
    Client.objects.filter(pk=client.pk).update(created=timezone.now() - timedelta(days=20))
    assert "over ten business days" in registrar.get(QUEUE).content.decode()
