"""The day a child comes of age: what parents and guardians may do ends by itself, also what they had granted apps.

RFC 9700 §4.14; 45 CFR §164.502(g)(3).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from clients.models import Tenant
from clients.tenants import TenantInfo
from smartauth import tokens
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import Authorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.people.rights import find_user_at, person_at, ties
from smartauth.policy.access import UNRESTRICTED
from smartauth.retention import purge
from tests.endpoints.app_launch import App, begin, make_person, sign_in
from tests.endpoints.test_token_refresh_token import Refresh, Start
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

TODAY = timezone.now().date()


def birthday(years: int, *, days: int = 0) -> date:
    """Return the birth date of somebody who became `years` old so many `days` from today, on the first of the month.

    The first of a month has a birthday every year.
    """
    then = TODAY + timedelta(days=days)
    return date(then.year - years, then.month, min(then.day, 28))


def relate(user: User, tenant: TenantInfo, **values: Any) -> ProxyRelation:
    since = timezone.now() - timedelta(days=400)
    made = ProxyRelation.objects.create(
        user=user, tenant_id=tenant.pk, starts_at=since, **({"patient": "ben"} | values)
    )
    made.refresh_from_db()
    return made


@pytest.fixture
def parent(tenant: TenantInfo) -> User:
    return make_person(tenant, "parent", "Patient/ana")


def acts_for(user: User, tenant: TenantInfo, now: datetime | None = None) -> frozenset[str]:
    now = now or timezone.now()
    person = person_at(user, tenant, client_id="", restrictions=UNRESTRICTED, now=now)
    assert ties(person, tenant_pk=tenant.pk, now=now).keys() - {"ana"} == person.related_patients
    return person.related_patients


MOMENTS = [
    # kind         born                    majority  comes of age
    ("parent",     date(2010, 5, 12),      None,     datetime(2028, 5, 12, tzinfo=UTC)),
    ("guardian",   date(2010, 5, 12),      None,     datetime(2028, 5, 12, tzinfo=UTC)),
    ("parent",     date(2010, 5, 12),      16,       datetime(2026, 5, 12, tzinfo=UTC)),
    ("parent",     date(2008, 2, 29),      None,     datetime(2026, 2, 28, tzinfo=UTC)),
    ("parent",     date(2008, 2, 29),      20,       datetime(2028, 2, 29, tzinfo=UTC)),
    ("caregiver",  date(2010, 5, 12),      None,     None),
    ("caregiver",  None,                   None,     None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "born", "majority", "moment"), MOMENTS)
def test_the_day_is_known_from_the_birth_date_and_the_tenant(
    parent: User, tenant: TenantInfo, kind: str, born: date | None, majority: int | None, moment: datetime | None
) -> None:
    Tenant.objects.update(policy={"age_of_majority": majority} if majority else {})
    relation = relate(parent, tenant, kind=kind, patient_born=born)
    assert relation.of_age_at == moment
    if moment is not None:
        before = moment - timedelta(seconds=1)
        if before > relation.starts_at:
            assert acts_for(parent, tenant, before) == {"ben"}
        assert acts_for(parent, tenant, moment) == frozenset()


def test_an_earlier_end_stays_the_end(parent: User, tenant: TenantInfo) -> None:
    now = timezone.now()
    relate(parent, tenant, kind="parent", patient_born=birthday(10), ends_at=now - timedelta(seconds=1))
    assert acts_for(parent, tenant) == frozenset()


@pytest.mark.parametrize("kind", ["parent", "guardian"])
def test_without_a_birth_date_there_is_no_such_relation(parent: User, tenant: TenantInfo, kind: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        relate(parent, tenant, kind=kind)


def let_come_of_age() -> None:
    """Let the birthday have come, as the clock would: nothing that listens to changes hears of it."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # What waits for the end of the transaction is in the way.
        cursor.execute("ALTER TABLE people_proxyrelation DISABLE TRIGGER USER")
        cursor.execute("UPDATE people_proxyrelation SET of_age_at = now() - interval '1 second'")
        cursor.execute("ALTER TABLE people_proxyrelation ENABLE TRIGGER USER")


def test_my_apps_says_at_once_that_it_is_over(browser: Browser, start: Start, parent: User, tenant: TenantInfo) -> None:
    relate(parent, tenant, kind="parent", patient_born=birthday(10))
    start(user=parent, patient="ben")
    over = "You may no longer act for this person, so it has no access"
    before = browser.get("/account/apps").content.decode()
    let_come_of_age()
    after = browser.get("/account/apps").content.decode()
    assert ("Ben Okafor" in before, over in before, "Stays connected" in before) == (True, False, True)
    assert ("Ben Okafor" in after, over in after, "Stays connected" in after) == (False, True, False)


@pytest.mark.requirement("REVOKE-11")
def test_what_a_parent_had_granted_ends_on_the_birthday_and_for_good(
    start: Start, refresh: Refresh, call: Caller, parent: User, tenant: TenantInfo
) -> None:
    relate(parent, tenant, kind="parent", patient_born=birthday(10))
    own = start(user=parent, patient="ana")
    granted = start(user=parent, patient="ben")
    assert call("/Patient/ben", granted["access_token"]).status_code == 200
    let_come_of_age()
    row = Authorization.objects.get(context__patient="ben")
    assert not tokens_live(granted["access_token"])
    answer = refresh(granted["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    purge(timezone.now())
    row.refresh_from_db()
    assert row.revoked_by == "relation"
    assert AuditRecord.objects.filter(action="revoke", rule="authorization.relation", authorization=row.pk).exists()
    assert Authorization.objects.get(context__patient="ana").revoked_at is None
    assert tokens_live(own["access_token"])


def tokens_live(token: str) -> bool:
    """Return True for a token that the database says is alive, whatever some worker remembers."""
    return tokens.is_live(digest(token), now=timezone.now())


def test_the_tenant_may_move_the_day_and_grants_follow_at_once(start: Start, parent: User, tenant: TenantInfo) -> None:
    relate(parent, tenant, kind="parent", patient_born=birthday(17))
    start(user=parent, patient="ben")
    Tenant.objects.filter(pk=tenant.pk).update(policy={"age_of_majority": 16})
    assert Authorization.objects.get().revoked_by == "relation"
    assert acts_for(parent, tenant) == frozenset()
    Tenant.objects.filter(pk=tenant.pk).update(policy={"age_of_majority": 21})
    assert acts_for(parent, tenant) == {"ben"}
    assert Authorization.objects.get().revoked_by == "relation"


def test_a_caregiver_goes_on(start: Start, parent: User, tenant: TenantInfo) -> None:
    relate(parent, tenant, kind="caregiver", patient_born=birthday(40))
    start(user=parent, patient="ben")
    purge(timezone.now())
    assert Authorization.objects.get().revoked_at is None


def test_somebody_whose_child_is_grown_up_cannot_be_named_at_the_tenant(parent: User, tenant: TenantInfo) -> None:
    FhirUser.objects.all().delete()
    relate(parent, tenant, kind="parent", patient_born=birthday(10))
    assert find_user_at("parent", tenant, now=timezone.now()) == parent
    ProxyRelation.objects.update(patient_born=birthday(19))
    assert find_user_at("parent", tenant, now=timezone.now()) is None


# What people see


def test_the_picker_says_why_and_until_when(
    browser: Browser, growth_chart: App, parent: User, tenant: TenantInfo
) -> None:
    relation = relate(parent, tenant, kind="parent", patient_born=birthday(10))
    assert relation.of_age_at is not None
    path = begin(browser, growth_chart)
    sign_in(browser, parent, then=path)
    page = " ".join(browser.get(f"{path}/patient").content.decode().split())
    assert page.index("You</span>") < page.index("You are a parent</span>")
    assert f"until {relation.of_age_at:%-d %B %Y}" in page
    ProxyRelation.objects.update(patient_born=birthday(19))
    page = browser.get(f"{path}/patient").content.decode()
    assert "You are a parent" not in page
    assert browser.post(f"{path}/patient", {"patient": "ben"}).status_code == 403


def test_the_administration_asks_for_the_birth_date_and_shows_the_day(parent: User, tenant: TenantInfo) -> None:
    admin = Browser()
    admin.force_login(User.objects.create_superuser("root", password="correct horse battery staple"))
    url = reverse("admin:people_user_change", args=[parent.pk])
    form = {
        "username": parent.username,
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        "is_active": "on",
        "fhir_users-TOTAL_FORMS": "0",
        "fhir_users-INITIAL_FORMS": "0",
        "relations-TOTAL_FORMS": "1",
        "relations-INITIAL_FORMS": "0",
        "upstream_identities-TOTAL_FORMS": "0",
        "upstream_identities-INITIAL_FORMS": "0",
        "relations-0-tenant": str(tenant.pk),
        "relations-0-patient": "ben",
        "relations-0-kind": "parent",
        "relations-0-starts_at_0": "2026-01-01",
        "relations-0-starts_at_1": "00:00:00",
    }
    refused = admin.post(url, form)
    assert refused.status_code == 200
    assert "enter the patient&#x27;s birth date under patient born" in refused.content.decode()
    assert not ProxyRelation.objects.exists()
    assert admin.post(url, form | {"relations-0-patient_born": "2015-05-12"}).status_code == 302
    page = admin.get(url).content.decode()
    assert "12 May 2033" in page
