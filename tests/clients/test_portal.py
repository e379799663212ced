"""The partner portal without scripts: accounts, the wizard, and what is kept of what somebody types.

Source: SMART 2.2 app-launch, "Register App with EHR"; RFC 7591 §2.
"""

import json
import re
import time
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client as Browser
from django.utils import timezone
from joserfc.jwk import RSAKey

from clients import drafts
from clients.acting import operator
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.metadata import ClientMetadata
from clients.models import Activation, Client, Draft
from smartauth.context import new_context
from smartauth.digests import digest
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.clients.portal_pages import HOST, IDENTITY, SecureBrowser, Texts, answers_of, begin, partner, step_url
from tests.conftest import Configure
from tests.factories import make_tenant

pytestmark = pytest.mark.django_db
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def tenant() -> None:
    make_tenant()


@pytest.fixture
def kim() -> Browser:
    return partner()[1]


class TestAccounts:
    """Who comes in."""

    def test_in_the_sandbox_anybody_makes_an_account_and_comes_to_the_portal(self) -> None:
        browser = Browser(HTTP_HOST=HOST)
        answer = browser.post("/account/signup/", {"username": "kim", "password1": "correct horse battery"})
        assert (answer.status_code, answer["Location"]) == (302, "/developers/")
        assert b"Register your first app" in browser.get("/developers/").content

    def test_a_name_that_is_taken_is_a_finding_at_the_field_and_the_name_stays(self) -> None:
        User.objects.create_user("kim")
        browser = Browser(HTTP_HOST=HOST)
        answer = browser.post("/account/signup/", {"username": "kim", "password1": "correct horse battery"})
        assert answer.status_code == 200
        assert "already" in Texts(answer).by_id["username-problems"]
        assert 'value="kim"' in answer.content.decode()

    def test_elsewhere_nobody_signs_up_and_the_page_says_whom_to_ask(self, configure: Configure) -> None:
        configure(mode="production")
        browser = Browser(HTTP_HOST=HOST)
        for answer in (
            browser.get("/account/signup/", secure=True),
            browser.post("/account/signup/", {"username": "kim", "password1": "correct horse battery"}, secure=True),
        ):
            assert b"ask the hospital" in answer.content
        assert not User.objects.exists()

    @pytest.mark.parametrize("path", ["/developers", "/developers/", "/developers/new"])
    def test_whoever_is_not_signed_in_does_so_first_and_comes_back(self, path: str) -> None:
        answer = Browser(HTTP_HOST=HOST).get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/login/?next=%2Fdevelopers")

    def test_elsewhere_the_portal_is_for_partners(self, configure: Configure) -> None:
        configure(mode="production")
        user = User.objects.create_user("kim")
        browser = Browser(HTTP_HOST=HOST)
        browser.force_login(user)
        assert browser.get("/developers/", secure=True).status_code == 403
        assert "Developers" not in browser.get("/account/apps", secure=True).content.decode()
        user.groups.add(Group.objects.get(name="Partner"))
        assert browser.get("/developers/", secure=True).status_code == 200
        assert "Developers" in browser.get("/account/apps", secure=True).content.decode()

    def test_the_way_there_stands_on_every_page(self, kim: Browser) -> None:
        assert b'<a href="/developers/">Developers</a>' in kim.get("/account/apps").content


class TestWizard:
    """Filling in a registration, without scripts."""

    @pytest.mark.requirement("REG-13")
    def test_the_kind_presets_what_it_can(self, kim: Browser) -> None:
        draft = begin(kim)
        assert draft.answers["grant_types"] == ["client_credentials"]
        assert draft.answers["tenants"] == ["sandbox"]  # There is no other.
        page = kim.get(step_url(draft, "connection")).content.decode()
        assert 'name="redirect_uris"' not in page
        assert 'name="token_endpoint_auth_method"' not in page

    def test_a_fresh_page_does_not_begin_with_complaints(self, kim: Browser) -> None:
        page = kim.get(step_url(begin(kim), "identity"))
        assert 'class="finding"' not in page.content.decode()

    def test_next_keeps_what_is_right_and_goes_on(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "identity"), {**IDENTITY, "go": "next"})
        assert answer["Location"] == step_url(draft, "connection")
        assert answers_of(draft)["contacts"] == ["kim@example.org"]

    def test_next_with_a_mistake_stays_says_so_at_the_field_and_keeps_everything(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "identity"), {**IDENTITY, "contacts": "kim", "go": "next"})
        assert answer.status_code == 200
        page = Texts(answer)
        assert "not an e-mail address: kim" in page.by_id["problems-contacts"]
        assert page.values("contacts") == ["kim"]
        assert page.values("client_name") == ["Night Export"]
        assert answers_of(draft)["publisher"] == "Kim Inc"
        field = next(values for tag, values in page.tags if values.get("id") == "in-contacts")
        assert "problems-contacts" in field["aria-describedby"].split()
        assert field["aria-invalid"] == "true"

    def test_one_may_go_on_and_mend_it_later(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "identity"), {"client_name": "X", "go": "anyway"})
        assert answer["Location"] == step_url(draft, "connection")

    def test_leaving_a_field_saves_and_tells_what_is_wrong_with_the_step(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(f"{step_url(draft, 'identity')}/check", {**IDENTITY, "policy_uri": "http://kim.example.org/"})
        assert answer.status_code == 200
        told = answer.json()["findings"]
        assert [(one["member"], one["rule"]) for one in told] == [("policy_uri", "registration.policy_uri")]
        assert answers_of(draft)["policy_uri"] == "http://kim.example.org/"

    def test_two_tabs_on_two_steps_do_not_undo_each_other(self, kim: Browser) -> None:
        draft = begin(kim)
        kim.post(step_url(draft, "identity"), IDENTITY)
        kim.post(step_url(draft, "data"), {"data": ["Patient.r", "Patient.s"], "tenants": ["sandbox"]})
        assert answers_of(draft)["client_name"] == "Night Export"
        assert answers_of(draft)["scope"] == "system/Patient.rs"

    def test_the_table_writes_scopes_and_keeps_what_it_cannot_say(self, kim: Browser) -> None:
        draft = begin(kim)
        more = "system/Observation.rs?category=laboratory\r\nsystem/Binary.r nonsense/"
        kim.post(
            step_url(draft, "data"), {"data": ["Patient.s", "Patient.r", "Nothing.r", "Patient.x"], "more_scopes": more}
        )
        scope = answers_of(draft)["scope"]
        assert scope == "system/Patient.rs system/Observation.rs?category=laboratory system/Binary.r nonsense/"
        page = Texts(kim.get(step_url(draft, "data")))
        assert page.values("data") == ["Patient.r", "Patient.s"]
        assert page.by_id["in-more"].split() == scope.split()[1:]

    def test_us_core_is_one_click(self, kim: Browser) -> None:
        draft = begin(kim)
        kim.post(step_url(draft, "data"), {"data": ["Patient.c"], "tenants": ["sandbox"], "go": "us-core"})
        scopes = answers_of(draft)["scope"].split()
        assert "system/Patient.crs" in scopes
        assert "system/Specimen.rs" in scopes
        assert len(scopes) == 27

    def test_a_clinician_app_may_be_about_one_patient_only(self, kim: Browser) -> None:
        draft = begin(kim, "clinician")
        kim.post(step_url(draft, "data"), {"level": "patient", "data": ["Patient.r"], "named": ["launch", "openid"]})
        assert answers_of(draft)["scope"] == "launch openid patient/Patient.r"
        assert Texts(kim.get(step_url(draft, "data"))).values("level") == ["patient"]

    def test_another_kind_takes_along_what_was_typed(self, kim: Browser) -> None:
        draft = begin(kim, "patient")
        kim.post(step_url(draft, "identity"), IDENTITY)
        kim.post(step_url(draft, "data"), {"data": ["Patient.r"], "named": ["launch/patient"], "tenants": ["sandbox"]})
        kim.post(step_url(draft, "kind"), {"kind": "service"})
        answers = answers_of(draft)
        assert (draft.kind, answers["scope"], answers["client_name"]) == ("service", "system/Patient.r", "Night Export")
        assert answers["grant_types"] == ["client_credentials"]

    @pytest.mark.parametrize("kind", ["", "toaster", SCRIPT])
    def test_an_unknown_kind_begins_nothing(self, kim: Browser, kind: str) -> None:
        assert kim.post("/developers/new", {"kind": kind}).status_code == 409
        assert not Draft.objects.exists()

    def test_what_is_too_long_is_refused_in_words_and_stays_on_the_page(self, kim: Browser) -> None:
        draft = begin(kim)
        kim.post(step_url(draft, "identity"), IDENTITY)
        answer = kim.post(step_url(draft, "identity"), {**IDENTITY, "purpose": "x" * 250_000})
        assert answer.status_code == 409
        assert "x" * 250_000 in answer.content.decode()
        assert answers_of(draft)["purpose"] == "Counts vaccinations."

    @pytest.mark.parametrize("odd", [5, {"a": 1}, [1, None, {}], True, "x"])
    def test_answers_of_any_shape_are_shown(self, kim: Browser, odd: Any) -> None:
        """A program may have written the draft through the API, where any JSON is kept."""
        for kind in ("service", "clinician"):
            draft = begin(kim, kind)
            Draft.objects.filter(pk=draft.pk).update(answers=dict.fromkeys(drafts.MEMBERS, odd))
            for name in ("identity", "connection", "data", "review", "export"):
                assert kim.get(step_url(draft, name)).status_code == 200
            assert kim.post(step_url(draft, "kind"), {"kind": "patient"}).status_code == 302
            assert kim.post(step_url(draft, "submit")).status_code == 200
        assert kim.get("/developers/").status_code == 200

    @pytest.mark.requirement("REG-12")
    @pytest.mark.parametrize("method", ["client_secret_basic", "none"])
    def test_a_service_has_no_choice_but_a_key(self, kim: Browser, ec: KeyPair, method: str) -> None:
        draft = begin(kim)
        keys = {"jwks": json.dumps(ec.jwks), "keys_from": "paste"}
        kim.post(step_url(draft, "connection"), {**keys, "token_endpoint_auth_method": method})
        assert answers_of(draft)["token_endpoint_auth_method"] == "private_key_jwt"

    def test_lines_and_control_characters_do_no_harm(self, kim: Browser) -> None:
        draft = begin(kim)
        kim.post(step_url(draft, "identity"), {**IDENTITY, "purpose": "One\r\ntwo\x00three"})
        assert answers_of(draft)["purpose"] == "One two three"


class TestKeys:
    """Keys that come by URL, pasted, or made in the browser and then pasted by its script."""

    @pytest.mark.requirement("REG-06")
    def test_a_url_or_pasted_keys_never_both(self, kim: Browser, ec: KeyPair) -> None:
        draft, both = begin(kim), {"jwks": json.dumps(ec.jwks), "jwks_uri": "https://kim.example.org/jwks.json"}
        kim.post(step_url(draft, "connection"), {**both, "keys_from": "paste"})
        assert (answers_of(draft)["jwks"], answers_of(draft)["jwks_uri"]) == (ec.jwks, "")
        kim.post(step_url(draft, "connection"), {**both, "keys_from": "url"})
        assert (answers_of(draft)["jwks"], answers_of(draft)["jwks_uri"]) == (None, both["jwks_uri"])

    def test_one_key_becomes_a_set(self, kim: Browser, ec: KeyPair) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "connection"), {"jwks": json.dumps(ec.public_jwk), "keys_from": "paste"})
        assert answer.status_code == 302
        assert answers_of(draft)["jwks"] == ec.jwks

    def test_a_public_key_in_pem_becomes_a_set_named_by_its_thumbprint(self, kim: Browser, rsa: KeyPair) -> None:
        draft, key = begin(kim), RSAKey.import_key(rsa.public_jwk)
        pem = key.as_pem(private=False).decode()
        answer = kim.post(step_url(draft, "connection"), {"jwks": pem, "keys_from": "paste"})
        assert answer.status_code == 302
        assert [one["kid"] for one in answers_of(draft)["jwks"]["keys"]] == [key.thumbprint()]

    def test_what_is_no_key_set_is_kept_and_a_finding(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "connection"), {"jwks": '{"keys": [', "keys_from": "paste"})
        page = Texts(answer)
        assert page.by_id["problems-jwks"].strip()
        assert page.by_id["in-jwks"].strip() == '{"keys": ['

    @pytest.mark.parametrize("form", ["jwk", "jwks", "pem", "broken"])
    def test_a_private_key_is_kept_nowhere(self, kim: Browser, ec: KeyPair, form: str) -> None:
        private = {**ec.public_jwk, "d": "SECRETSECRET"}
        texts = {
            "jwk": json.dumps(private),
            "jwks": json.dumps({"keys": [private]}),
            "pem": ec.private_pem.decode(),
            "broken": json.dumps(private)[:-1],
        }
        draft = begin(kim)
        answer = kim.post(step_url(draft, "connection"), {"jwks": texts[form], "keys_from": "paste"})
        assert "private part" in Texts(answer).by_id["problems-jwks"]
        secret = ec.private_pem.decode().splitlines()[1] if form == "pem" else "SECRETSECRET"
        assert secret not in json.dumps(answers_of(draft))
        assert secret not in answer.content.decode()


def fill(browser: Browser, draft: Draft, pair: KeyPair, **identity: str) -> None:
    browser.post(step_url(draft, "identity"), {**IDENTITY, **identity})
    browser.post(step_url(draft, "connection"), {"jwks": json.dumps(pair.jwks), "keys_from": "paste"})
    browser.post(step_url(draft, "data"), {"data": ["Patient.r", "Patient.s"], "tenants": ["sandbox"]})


class TestSubmitting:
    """From the review to the app's page."""

    def test_the_review_links_every_finding_to_its_field(self, kim: Browser) -> None:
        draft = begin(kim)
        page = kim.get(step_url(draft, "review")).content.decode()
        assert f'href="{step_url(draft, "identity")}?mend=1#f-client_name"' in page
        assert f'href="{step_url(draft, "connection")}?mend=1#f-jwks_uri"' in page
        assert "Register the app" not in page
        fields = kim.get(f"{step_url(draft, 'identity')}?mend=1").content.decode()
        assert 'id="f-client_name"' in fields
        assert 'class="finding"' in fields

    def test_a_service_is_registered_approved_and_switched_on(self, kim: Browser, ec: KeyPair) -> None:
        draft = begin(kim)
        fill(kim, draft, ec)
        answer = kim.post(step_url(draft, "submit"), follow=True)
        client = Client.objects.get()
        assert answer.redirect_chain == [(f"/developers/apps/{client.client_id}", 302)]
        page = answer.content.decode()
        assert client.client_id in page
        assert "elsewhere somebody at the hospital does it" in page
        assert answer["Cache-Control"] == "no-store"

    def test_submitting_twice_registers_once(self, kim: Browser, ec: KeyPair) -> None:
        draft = begin(kim)
        fill(kim, draft, ec)
        kim.post(step_url(draft, "submit"))
        again = kim.post(step_url(draft, "submit"))
        assert again.status_code == 404
        assert b"submitted or discarded already" in again.content
        assert Client.objects.count() == 1

    def test_a_draft_with_findings_is_not_submitted(self, kim: Browser) -> None:
        draft = begin(kim)
        answer = kim.post(step_url(draft, "submit"))
        assert b"to mend before you submit" in answer.content
        assert not Client.objects.exists()
        assert Draft.objects.count() == 1

    @pytest.mark.requirement("REG-10")
    def test_the_secret_is_on_that_page_and_never_again(self, kim: Browser) -> None:
        draft = begin(kim, "patient")
        kim.post(step_url(draft, "identity"), IDENTITY)
        connection = {
            "application_type": "web",
            "redirect_uris": "https://app.example.org/callback",
            "token_endpoint_auth_method": "client_secret_basic",
        }
        kim.post(step_url(draft, "connection"), connection)
        kim.post(step_url(draft, "data"), {"data": ["Patient.r"], "named": ["launch/patient"], "tenants": ["sandbox"]})
        answer = kim.post(step_url(draft, "submit"))
        assert answer.status_code == 200
        secret = Texts(answer).by_id["secret"]
        assert len(secret) >= 43
        assert answer["Cache-Control"] == "no-store"
        page = kim.get(f"/developers/apps/{Client.objects.get().client_id}")
        assert secret not in page.content.decode()

    def test_the_second_app_begins_with_the_publisher_of_the_first(self, kim: Browser, ec: KeyPair) -> None:
        draft = begin(kim)
        fill(kim, draft, ec)
        kim.post(step_url(draft, "submit"))
        assert begin(kim, "patient").answers["publisher"] == "Kim Inc"

    def test_export_is_metadata_that_registers_again(self, kim: Browser, ec: KeyPair) -> None:
        draft = begin(kim)
        fill(kim, draft, ec)
        answer = kim.get(step_url(draft, "export"))
        assert "attachment" in answer["Content-Disposition"]
        assert ClientMetadata.from_json(answer.json(), operator=False).client_name == "Night Export"

    def test_a_discarded_draft_is_gone(self, kim: Browser) -> None:
        draft = begin(kim)
        assert kim.post(step_url(draft, "discard")).status_code == 302
        assert not Draft.objects.exists()


def refuse(client: Client) -> None:
    """Have the client refused at the token endpoint."""
    body = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "not a JWT",
    }
    form = "application/x-www-form-urlencoded"
    answer = Browser(HTTP_HOST=HOST).post("/auth/sandbox/token", urlencode(body), content_type=form)
    assert answer.status_code == 401


def registered(browser: Browser, pair: KeyPair, **identity: str) -> Client:
    draft = begin(browser)
    fill(browser, draft, pair, **identity)
    browser.post(step_url(draft, "submit"))
    return Client.objects.latest("created")


class TestAfterwards:
    """The app's page and what can be done there."""

    def test_home_says_what_is_where_and_what_is_next(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        page = kim.get("/developers/").content.decode()
        assert client.client_id in page
        assert "Get a first token and read" in page

    def test_a_refusal_is_explained_with_text_to_pass_on(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        refuse(client)
        receipt = Receipt.objects.get(client_id=client.client_id)
        for path in ("/developers/", f"/developers/apps/{client.client_id}"):
            assert f"/developers/receipts/{receipt.trace_id}" in kim.get(path).content.decode()
        page = Texts(kim.get(f"/developers/receipts/{receipt.trace_id}"))
        assert receipt.rule in page.by_id["explanation"]
        assert str(receipt.trace_id) in page.by_id["explanation"]
        assert receipt.fix in page.text

    def test_the_officers_words_are_not_on_it(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        trace_id = uuid4()
        Receipt.objects.create(
            trace_id=trace_id,
            at=timezone.now(),
            endpoint="fhir",
            method="GET",
            status=404,
            error="not_found",
            rule="absent",
            reason="absent or outside",
            client_id=client.client_id,
            officer="UPSTREAM said so",
            decision={"removed": "UPSTREAM"},
            remote_address="10.9.8.7",
        )
        page = kim.get(f"/developers/receipts/{trace_id}").content.decode()
        assert "UPSTREAM" not in page
        assert "10.9.8.7" not in page

    def test_retiring_ends_it(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        assert kim.post(f"/developers/apps/{client.client_id}/steps/retired").status_code == 302
        client.refresh_from_db()
        assert client.status == "retired"
        again = kim.post(f"/developers/apps/{client.client_id}/steps/retired")
        assert again.status_code == 409

    @pytest.mark.parametrize("step", ["approved", "suspended", "resumed", "nonsense"])
    def test_an_owner_takes_no_step_of_the_hospital(self, kim: Browser, ec: KeyPair, step: str) -> None:
        client = registered(kim, ec)
        assert kim.post(f"/developers/apps/{client.client_id}/steps/{step}").status_code == 404

    def test_a_change_begins_with_what_is_registered(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        answer = kim.post(f"/developers/apps/{client.client_id}/revise")
        draft = Draft.objects.get()
        assert answer["Location"] == step_url(draft, "identity")
        assert draft.answers["client_name"] == "Night Export"
        kim.post(step_url(draft, "identity"), {**IDENTITY, "client_name": "Day Export"})
        kim.post(step_url(draft, "submit"))
        client.refresh_from_db()
        assert client.name == "Day Export"

    def test_the_first_page_asks_for_each_app_once(
        self, kim: Browser, ec: KeyPair, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(3):
            registered(kim, ec)
        # Session, user, drafts, apps, activations, refusals; and of each app its keys: they are asked for at most.
        with django_assert_max_num_queries(8 + 3 * 5):
            kim.get("/developers/")

    def test_what_no_form_has_is_refused_in_words(self, kim: Browser) -> None:
        draft = begin(kim)
        huge = kim.post(step_url(draft, "identity"), {"purpose": "x" * 11_000_000})
        many = kim.post(step_url(draft, "data"), {"data": [f"Patient.{n}" for n in range(2_000)]})
        assert {huge.status_code, many.status_code} <= {400, 413}
        assert b"cannot be understood" in many.content


class TestElsewhere:
    """Where a hospital decides."""

    @pytest.fixture
    def lee(self, configure: Configure) -> Browser:
        configure(mode="production")
        user = User.objects.create_user("lee", password="not used here")
        user.groups.add(Group.objects.get(name="Partner"))
        browser = SecureBrowser(HTTP_HOST=HOST)
        browser.force_login(user)
        return browser

    def test_it_waits_and_may_be_withdrawn(self, lee: Browser, ec: KeyPair) -> None:
        client = registered(lee, ec)
        url = f"/developers/apps/{client.client_id}"
        page = lee.get(url).content.decode()
        assert "Waits for the hospital" in page
        assert lee.post(f"{url}/revise").status_code == 409
        assert lee.post(f"{url}/steps/withdrawn").status_code == 302
        assert "Not submitted" in lee.get(url).content.decode()
        assert lee.post(f"{url}/revise").status_code == 302

    def test_what_the_hospital_says_is_read_there(self, lee: Browser, ec: KeyPair) -> None:
        client = registered(lee, ec)
        hospital = operator(User.objects.create_user("op").pk)
        reason = f"No <b>policy</b> yet. {SCRIPT}"
        take_step(client.client_id, "declined", by=hospital, context=new_context(), reason=reason)
        answer = lee.get(f"/developers/apps/{client.client_id}")
        assert reason in Texts(answer).text
        assert SCRIPT not in answer.content.decode()

    def test_a_change_shows_before_and_after_and_may_be_withdrawn(self, lee: Browser, ec: KeyPair) -> None:
        client = registered(lee, ec)
        hospital = operator(User.objects.create_user("op").pk)
        take_step(client.client_id, "approved", by=hospital, context=new_context())
        url = f"/developers/apps/{client.client_id}"
        lee.post(f"{url}/revise")
        draft = Draft.objects.get()
        lee.post(step_url(draft, "data"), {"data": ["Condition.r", "Patient.s"], "tenants": ["sandbox"]})
        lee.post(step_url(draft, "submit"))
        page = lee.get(url).content.decode()
        assert "<ins>system/Condition.r</ins>" in page
        assert "<del>system/Patient.rs</del>" in page
        assert "needs approval" in page
        assert lee.post(f"{url}/withdraw-change").status_code == 302
        assert lee.post(f"{url}/withdraw-change").status_code == 409
        client.refresh_from_db()
        assert client.scope == "system/Patient.rs"


class TestOthers:
    """What is somebody else's is not told apart from what never was."""

    PATHS = ("identity", "connection", "data", "review", "export", "kind")

    def test_a_draft_of_another(self, kim: Browser) -> None:
        draft = begin(kim)
        _, mallory = partner("mallory")
        for name in self.PATHS:
            theirs, nobodys = mallory.get(step_url(draft, name)), mallory.get(step_url(Draft(pk=99_999), name))
            assert _bare(theirs) == _bare(nobodys)
            assert theirs.status_code == 404
        for name in ("identity", "identity/check", "submit", "discard", "kind"):
            assert mallory.post(step_url(draft, name), {**IDENTITY, "kind": "patient"}).status_code == 404
        assert "client_name" not in answers_of(draft)

    def test_a_client_and_a_receipt_of_another(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        refuse(client)
        _, mallory = partner("mallory")
        url = f"/developers/apps/{client.client_id}"
        assert _bare(mallory.get(url)) == _bare(mallory.get("/developers/apps/c-nobody"))
        for what in ("revise", "steps/retired", "withdraw-change"):
            assert mallory.post(f"{url}/{what}").status_code == 404
        client.refresh_from_db()
        assert client.status == "approved"
        receipt = Receipt.objects.exclude(error="page").latest("at")
        nobodys = f"/developers/receipts/{str(receipt.trace_id)[:-4]}0000"
        assert _bare(mallory.get(f"/developers/receipts/{receipt.trace_id}")) == _bare(mallory.get(nobodys))

    def test_forms_need_their_token(self, kim: Browser) -> None:
        draft = begin(kim)
        strict = Browser(HTTP_HOST=HOST, enforce_csrf_checks=True)
        strict.cookies = kim.cookies
        for name in ("identity", "identity/check", "submit", "discard"):
            assert strict.post(step_url(draft, name), IDENTITY).status_code == 403
        assert strict.post("/developers/new", {"kind": "service"}).status_code == 403
        assert Draft.objects.count() == 1


def _bare(answer: Any) -> tuple[int, str]:
    """Return status and page without what differs for every request."""
    return answer.status_code, re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}|value=\"[A-Za-z0-9]{64}\"", "", answer.content.decode()
    )


class TestMarkup:
    """Nothing that somebody typed becomes markup."""

    def test_in_every_field_on_every_page(self, kim: Browser, ec: KeyPair) -> None:
        hostile = {name: f"{SCRIPT}{name}" for name in ("client_name", "publisher", "purpose", "intended_users")}
        client = registered(kim, ec, **hostile)
        kim.post(f"/developers/apps/{client.client_id}/revise")
        draft = Draft.objects.get()
        kim.post(
            step_url(draft, "connection"),
            {"jwks": SCRIPT, "keys_from": "paste", "software_id": SCRIPT, "smart_version": SCRIPT},
        )
        kim.post(step_url(draft, "data"), {"more_scopes": SCRIPT, "tenants": [SCRIPT], "data": [SCRIPT]})
        pages = ["/developers/", f"/developers/apps/{client.client_id}"]
        pages += [step_url(draft, name) for name in ("identity", "connection", "data", "review")]
        pages += [f"{page}?mend=1" for page in pages[2:]]
        for page in pages:
            answer = kim.get(page)
            assert answer.status_code == 200, page
            assert SCRIPT not in answer.content.decode(), page
        assert "&lt;script&gt;" in kim.get(pages[0]).content.decode()


def app_with_secret(browser: Browser) -> tuple[Client, str]:
    """Register a patient app with a shared secret and return both."""
    draft = begin(browser, "patient")
    browser.post(step_url(draft, "identity"), IDENTITY)
    method = {"token_endpoint_auth_method": "client_secret_basic"}
    browser.post(step_url(draft, "connection"), {"redirect_uris": "https://app.example.org/callback", **method})
    browser.post(step_url(draft, "data"), {"data": ["Patient.r"], "named": ["launch/patient"], "tenants": ["sandbox"]})
    secret = Texts(browser.post(step_url(draft, "submit"))).by_id["secret"]
    return Client.objects.latest("created"), secret


class TestSecrets:
    """A shared secret: another one, and the end of the former."""

    @pytest.mark.requirement("REG-10")
    def test_a_new_one_is_shown_once_and_the_former_stays_for_a_while(self, kim: Browser) -> None:
        client, first = app_with_secret(kim)
        url = f"/developers/apps/{client.client_id}"
        answer = kim.post(f"{url}/secret", {"former": "stays"})
        second = Texts(answer).by_id["secret"]
        assert second != first
        assert answer["Cache-Control"] == "no-store"
        page = kim.get(url).content.decode()
        assert second not in page
        assert "End the former secret now" in page
        client.refresh_from_db()
        assert (client.client_secret, client.previous_client_secret) == (digest(second), digest(first))
        assert kim.post(f"{url}/secret/end").status_code == 302
        client.refresh_from_db()
        assert client.previous_client_secret == ""
        assert kim.post(f"{url}/secret/end").status_code == 409

    def test_one_that_leaked_ends_at_once(self, kim: Browser) -> None:
        client, _ = app_with_secret(kim)
        kim.post(f"/developers/apps/{client.client_id}/secret", {"former": "ends"})
        client.refresh_from_db()
        assert client.previous_client_secret == ""

    def test_an_app_with_keys_has_none(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        url = f"/developers/apps/{client.client_id}"
        assert kim.post(f"{url}/secret", {"former": "stays"}).status_code == 409
        assert "Make a new secret" not in kim.get(url).content.decode()

    def test_nobody_else_makes_or_ends_one(self, kim: Browser) -> None:
        client, first = app_with_secret(kim)
        _, mallory = partner("mallory")
        for what in ("secret", "secret/end"):
            assert mallory.post(f"/developers/apps/{client.client_id}/{what}").status_code == 404
        client.refresh_from_db()
        assert client.client_secret == digest(first)


class TestProbe:
    """Does it work there now?"""

    def test_it_works(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        assert "Look again in a second" in Texts(kim.get(f"/developers/apps/{client.client_id}/works/sandbox")).text
        time.sleep(1.1)  # As long as other workers may take to hear of it.
        assert "It works at" in Texts(kim.get(f"/developers/apps/{client.client_id}/works/sandbox")).text

    def test_it_does_not_and_the_page_says_why(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        Activation.objects.update(is_active=False)
        text = Texts(kim.get(f"/developers/apps/{client.client_id}/works/sandbox")).text
        assert "It does not work at" in text

    def test_only_of_an_own_app_where_it_asked_to_work(self, kim: Browser, ec: KeyPair) -> None:
        client = registered(kim, ec)
        make_tenant("north")
        assert kim.get(f"/developers/apps/{client.client_id}/works/north").status_code == 404
        assert kim.get(f"/developers/apps/{client.client_id}/works/nowhere").status_code == 404
        assert partner("mallory")[1].get(f"/developers/apps/{client.client_id}/works/sandbox").status_code == 404
