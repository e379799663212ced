"""What My apps says that an app opened: which kinds, how often, when last, and of whose record never.

45 CFR §170.315(g)(10)(vi); SMART 2.2 best-practices.
"""

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client as Browser
from django.utils import timezone

from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import ProxyRelation, User
from smartauth.people.readings import MOST, Opened, readings
from smartauth.policy.advertising import CATEGORIES
from smartauth.policy.wording import title_of_reading
from tests.audit_trail import rewritable
from tests.endpoints.app_launch import App
from tests.endpoints.test_token_refresh_token import Start
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

LAB = quote(CATEGORIES["Observation"][0], safe="")
ANA = Opened("growth-chart", "sandbox", "ana")


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """Let what was read be written before anybody looks."""
    recording._buffer.flush()
    yield
    recording._buffer.flush()


def said(browser: Browser) -> str:
    recording._buffer.flush()
    return unescape(" ".join(browser.get("/account/apps").content.decode().split()))


def opened(user: User, record: Opened = ANA) -> dict[str, int]:
    recording._buffer.flush()
    found = readings(user.pk, [record], now=timezone.now())
    return {one.title: one.times for one in found.get(record, ())}


def test_what_an_app_opened_is_said_in_plain_words(browser: Browser, start: Start, call: Caller, ana: User) -> None:
    token = start()["access_token"]
    for _ in range(3):
        assert call(f"/Observation?category={LAB}&patient=ana", token).status_code == 200
    assert call("/Patient/ana", token).status_code == 200
    assert call("/Goal?patient=ana", token).status_code == 200
    page, today = said(browser), timezone.now()
    for words in (
        f"Laboratory results, 3 times, last on {today:%-d %B %Y}",
        f"Personal details, once, on {today:%-d %B %Y}",
        f"Goals, once, on {today:%-d %B %Y}",
    ):
        assert words in page, words
    assert "Observation" not in page


def test_an_app_that_opened_nothing_is_said_to_have(browser: Browser, start: Start, ana: User) -> None:
    start()
    assert "Nothing of this record in the last 90 days" in said(browser)


def test_what_our_own_pages_read_is_no_reading_of_the_app(browser: Browser, start: Start, ana: User) -> None:
    start()
    assert opened(ana) == {}
    assert AuditRecord.objects.filter(rule="picker", client_id="growth-chart").exists()


def test_what_was_refused_was_not_opened(start: Start, call: Caller, ana: User) -> None:
    token = start(scope="launch/patient patient/Goal.rs")["access_token"]
    assert call("/Observation?patient=ana", token).status_code == 403
    assert opened(ana) == {}


def test_what_others_opened_is_nobody_else_s_business(
    start: Start, call: Caller, ana: User, dr_grey: User, cardio: App
) -> None:
    token = start(user=dr_grey, patient="ana")["access_token"]
    assert call("/Goal?patient=ana", token).status_code == 200
    assert opened(ana) == {}
    assert opened(dr_grey) == {"Goals": 1}
    assert opened(dr_grey, Opened("cardio", "sandbox", "ana")) == {}


def test_what_went_out_of_another_record_is_not_told(start: Start, call: Caller, parent: User) -> None:
    scope = "launch/patient patient/Goal.rs user/Patient.rs"
    token = start(user=parent, patient="ana", scope=scope)["access_token"]
    assert call("/Patient/ben", token).status_code == 200
    assert call("/Goal?patient=ana", token).status_code == 200
    assert opened(parent) == {"Goals": 1}


def test_a_clinician_s_app_without_a_record_is_told_of_by_kind(
    browser: Browser, start: Start, call: Caller, dr_grey: User
) -> None:
    token = start(user=dr_grey, scope="openid fhirUser user/*.rs")["access_token"]
    assert "Nothing in the last 90 days" in said(browser)
    for patient in ("ana", "ben"):
        assert call(f"/Goal?patient={patient}", token).status_code == 200
    page = said(browser)
    assert "Goals, 2 times" in page
    assert "Ben Okafor" not in page


def test_without_a_record_in_context_a_patient_hears_of_what_is_theirs_only(
    browser: Browser, start: Start, call: Caller, parent: User
) -> None:
    token = start(user=parent, scope="openid fhirUser user/*.rs")["access_token"]
    for path in ("/Goal?patient=ana", "/Condition?patient=ben"):
        assert call(path, token).status_code == 200
    assert "Goals, once" in said(browser)
    assert "Health problems, once" in said(browser)
    ProxyRelation.objects.all().delete()
    Authorization.objects.update(revoked_at=None, revoked_by="")
    assert "Goals, once" in said(browser)
    assert "Health problems" not in said(browser).partition("It opened")[2]


def test_an_app_was_last_used_when_it_last_opened_something(
    browser: Browser, start: Start, call: Caller, ana: User
) -> None:
    token = start()["access_token"]
    long_ago = timezone.now() - timedelta(days=3)
    AccessToken.objects.update(created=long_ago)
    assert f"Last used on {long_ago:%-d %B %Y}" in said(browser)
    assert call("/Goal?patient=ana", token).status_code == 200
    assert f"Last used on {timezone.now():%-d %B %Y}" in said(browser)


@pytest.mark.parametrize("how", ["at once", "by time"])
def test_of_a_record_somebody_no_longer_acts_for_nothing_is_told(
    browser: Browser, start: Start, call: Caller, parent: User, how: str
) -> None:
    token = start(user=parent, patient="ben")["access_token"]
    assert call("/Goal?patient=ben", token).status_code == 200
    assert "Goals, once" in said(browser)
    if how == "at once":
        ProxyRelation.objects.all().delete()
    else:  # The clock has ended it, and nothing has been tidied up since.
        past = timezone.now() - timedelta(seconds=1)
        ProxyRelation.objects.update(ends_at=past)
        Authorization.objects.update(revoked_at=None, revoked_by="")
    assert "Goals, once" not in said(browser)


def test_long_ago_is_over_and_the_newest_are_counted(
    start: Start, call: Caller, ana: User, django_assert_num_queries: Any
) -> None:
    token = start()["access_token"]
    assert call("/Goal?patient=ana", token).status_code == 200
    recording._buffer.flush()
    row = AuditRecord.objects.get(resource_type="Goal")
    with rewritable():
        AuditRecord.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(days=91))
    assert opened(ana) == {}
    copies = [
        AuditRecord(
            at=timezone.now(), action="read", client_id="growth-chart", tenant="sandbox", user_id=ana.pk, patient="ana",
            patients=["ana"], authorization=row.authorization, resource_type="Goal",
        )
        for _ in range(MOST + 5)
    ]  # fmt: skip
    AuditRecord.objects.bulk_create(copies)
    with django_assert_num_queries(1):
        assert opened(ana) == {"Goals": MOST}


TITLES = [
    ("Goal", (), False, "Goals"),
    ("Observation", (CATEGORIES["Observation"][0],), False, "Laboratory results"),
    ("Observation", ("laboratory",), False, "Laboratory results"),
    ("Observation", ("laboratory", "vital-signs"), False, "Measurements and findings"),
    ("Observation", ("laboratory,vital-signs",), False, "Measurements and findings"),
    ("Observation", ("nonsense",), False, "Measurements and findings"),
    ("Goal", ("laboratory",), False, "Goals"),
    ("Patient", (), True, "The whole record"),
    ("", (), False, "The whole record"),
    ("ImagingStudy", (), False, "Scans and images"),
]


@pytest.mark.parametrize(("kind", "categories", "whole", "title"), TITLES)
def test_a_reading_is_named_as_people_would(kind: str, categories: tuple[str, ...], whole: bool, title: str) -> None:
    assert title_of_reading(kind, categories, whole=whole) == title
