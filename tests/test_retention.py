"""What purge deletes and, more important, what it keeps."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from clients.initial_tokens import make_initial_token
from clients.models import ApiToken, AssertionId, Client, InitialAccessToken, Tenant
from smartauth.digests import digest
from smartauth.marks.models import Mark
from smartauth.models import AccessToken, Authorization, AuthorizationCode, PendingAuthorization, RefreshToken
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.retention import BATCH, purge
from tests.factories import make_client, make_tenant, phone_app

pytestmark = pytest.mark.django_db
NOW = timezone.now()
LONG_AGO = NOW - timedelta(days=30)


@pytest.fixture
def client_row() -> Client:
    return make_client(phone_app(), activate_at=(make_tenant(),)).client


@pytest.fixture
def user() -> User:
    return User.objects.create(username="ana")


def authorize(client_row: Client, user: User | None, **values: Any) -> Authorization:
    values = {"kind": "user", "user": user, "auth_time": NOW, "tenant": Tenant.objects.get()} | values
    return Authorization.objects.create(client=client_row, **values)


def token(authorization: Authorization, name: str, **values: Any) -> AccessToken:
    return AccessToken.objects.create(
        authorization=authorization, token_checksum=digest(name), claims={}, **{"expires": NOW} | values
    )


@pytest.mark.requirement("SEC-08")
def test_a_spent_code_and_a_rotated_refresh_token_stay_while_their_authorization_lives(
    client_row: Client, user: User
) -> None:
    alive = authorize(client_row, user)
    common = {"user": user, "application": client_row, "authorization": alive}
    AuthorizationCode.objects.create(code=digest("code"), expires=NOW, redirect_uri="x", spent_at=LONG_AGO, **common)
    RefreshToken.objects.create(token_checksum=digest("refresh"), rotated_at=LONG_AGO, **common)
    purge(NOW)
    assert AuthorizationCode.objects.count() == RefreshToken.objects.count() == 1

    Authorization.objects.update(revoked_at=LONG_AGO)
    gone = purge(NOW)
    assert (gone["authorization codes"], gone["refresh tokens"], gone["authorizations"]) == (1, 1, 1)
    assert not Authorization.objects.exists()


def test_the_standing_authorization_of_a_service_stays(client_row: Client) -> None:
    Authorization.objects.create(kind="service", client=client_row, tenant=Tenant.objects.get())
    assert purge(NOW)["authorizations"] == 0


@pytest.mark.requirement("SEC-08")
def test_expired_tokens_go_after_a_while_in_batches(client_row: Client, user: User) -> None:
    authorization = authorize(client_row, user)
    many = [
        AccessToken(authorization=authorization, token_checksum=digest(str(i)), claims={}, expires=LONG_AGO)
        for i in range(BATCH + 1)
    ]
    AccessToken.objects.bulk_create(many)
    token(authorization, "expired just now", expires=NOW - timedelta(minutes=1))
    token(authorization, "alive", expires=NOW + timedelta(minutes=1))
    assert purge(NOW)["access tokens"] == BATCH + 1
    assert AccessToken.objects.count() == 2


@pytest.mark.requirement("ASYM-17", "SEC-08")
def test_an_assertion_id_stays_until_no_assertion_with_it_could_be_accepted(client_row: Client) -> None:
    for name, expires_at in (("old", NOW - timedelta(minutes=5)), ("within leeway", NOW - timedelta(seconds=30))):
        AssertionId.objects.create(client=client_row, jti_digest=digest(name), expires_at=expires_at)
    assert purge(NOW)["assertion ids"] == 1
    assert AssertionId.objects.get().jti_digest == digest("within leeway")


@pytest.mark.requirement("SEC-08")
def test_a_request_to_authorize_goes_a_day_after_it_ended(client_row: Client) -> None:
    common = {
        "client": client_row,
        "tenant": Tenant.objects.get(),
        "redirect_uri": "https://growth.example.org/callback",
        "state": "s",
        "scope": "openid",
        "code_challenge": "c" * 43,
        "created_at": LONG_AGO,
    }
    PendingAuthorization.objects.create(**common, expires_at=NOW - timedelta(hours=25))
    PendingAuthorization.objects.create(**common, expires_at=NOW - timedelta(hours=23))
    assert purge(NOW)["authorization requests"] == 1
    assert PendingAuthorization.objects.count() == 1


def test_an_expired_session_goes_and_takes_online_access_with_it(client_row: Client, user: User) -> None:
    Session.objects.create(session_key="old", session_data="", expire_date=NOW - timedelta(minutes=1))
    Session.objects.create(session_key="new", session_data="", expire_date=NOW + timedelta(minutes=1))
    online = authorize(client_row, user, session=digest("old"))
    offline = authorize(client_row, user)
    staying = authorize(client_row, user, session=digest("new"))
    assert purge(NOW)["sessions"] == 1
    assert Authorization.objects.get(pk=online.pk).revoked_by == "session"
    assert set(Authorization.objects.filter(revoked_at=None)) == {offline, staying}


def test_old_marks_go() -> None:
    Mark.objects.create(tag="a")
    Mark.objects.create(tag="b", created_at=LONG_AGO)
    assert purge(NOW)["marks"] == 1


@pytest.mark.parametrize("name", ["purge", "cleartokens"])
def test_the_toolkits_command_is_ours(
    name: str, client_row: Client, user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    authorization = authorize(client_row, user)
    AuthorizationCode.objects.create(
        code=digest("code"),
        expires=NOW,
        redirect_uri="x",
        user=user,
        application=client_row,
        authorization=authorization,
    )
    call_command(name)
    assert AuthorizationCode.objects.exists()
    assert "0 authorization codes" in capsys.readouterr().out


class TestConstraints:
    """Invariants the database keeps, whoever writes."""

    def refuses(self, write: Any) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            write()

    def test_kinds_of_authorizations_are_apart(self, client_row: Client, user: User) -> None:
        self.refuses(lambda: authorize(client_row, user, kind="service"))
        self.refuses(lambda: authorize(client_row, None))
        self.refuses(lambda: authorize(client_row, user, auth_time=None))

    def test_a_service_has_one_standing_authorization(self, client_row: Client) -> None:
        def make() -> Authorization:
            return Authorization.objects.create(kind="service", client=client_row, tenant=Tenant.objects.get())

        first = make()
        self.refuses(make)
        Authorization.objects.filter(pk=first.pk).update(revoked_at=NOW)
        make()

    def test_an_authorization_has_one_live_refresh_token(self, client_row: Client, user: User) -> None:
        authorization = authorize(client_row, user)

        def make(name: str, **values: Any) -> RefreshToken:
            return RefreshToken.objects.create(
                token_checksum=digest(name),
                user=user,
                application=client_row,
                authorization=authorization,
                **values,
            )

        first = make("first")
        self.refuses(lambda: make("second"))
        make("rotated", rotated_at=NOW)
        make("superseded", revoked=NOW)
        RefreshToken.objects.filter(pk=first.pk).update(rotated_at=NOW)
        make("third", predecessor=first)

    def test_only_a_persons_authorization_hangs_on_a_session(self, client_row: Client) -> None:
        self.refuses(lambda: authorize(client_row, None, kind="service", auth_time=None, session="a"))

    def test_a_code_lives_ten_minutes_at_most(self, client_row: Client, user: User) -> None:
        authorization = authorize(client_row, user)
        common = {"user": user, "application": client_row, "authorization": authorization, "redirect_uri": "x"}
        late = timezone.now() + timedelta(minutes=11)
        self.refuses(lambda: AuthorizationCode.objects.create(code="c", expires=late, **common))

    @pytest.mark.requirement("OIDC-07")
    def test_a_fhir_user_is_a_person_and_one_per_tenant(self, user: User) -> None:
        tenant = Tenant.objects.create(slug="north")
        self.refuses(lambda: FhirUser.objects.create(user=user, tenant=tenant, reference="Device/1"))
        FhirUser.objects.create(user=user, tenant=tenant, reference="Patient/ana")
        self.refuses(lambda: FhirUser.objects.create(user=user, tenant=tenant, reference="Patient/ben"))

    def test_a_relation_ends_after_it_starts(self, user: User) -> None:
        tenant = Tenant.objects.create(slug="north")
        self.refuses(
            lambda: ProxyRelation.objects.create(
                user=user, tenant=tenant, patient="ben", starts_at=NOW, ends_at=NOW - timedelta(days=1)
            )
        )

    @pytest.mark.parametrize("slug", ["", "UPPER", "-x", "a b", "a" * 33])
    def test_a_slug_follows_its_grammar(self, slug: str) -> None:
        with pytest.raises(Exception, match=r"tenant_slug_grammar|too long"), transaction.atomic():
            Tenant.objects.create(slug=slug)


def test_the_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_tokens_of_the_developer_api_go_a_week_after_their_end(user: User) -> None:
    for label, ended in (("good", -1), ("just over", 6), ("over", 8)):
        end = NOW - timedelta(days=ended)
        ApiToken.objects.create(
            user=user, label=label, token_digest=digest(label), created_at=end - timedelta(days=1), expires_at=end
        )
    assert purge(NOW)["api tokens"] == 1
    assert set(ApiToken.objects.values_list("label", flat=True)) == {"good", "just over"}


def test_initial_access_tokens_go_a_week_after_they_are_of_no_more_use() -> None:
    make_initial_token(label="for ever")
    make_initial_token(label="good", expires_at=NOW + timedelta(days=1))
    make_initial_token(label="just over", expires_at=NOW - timedelta(days=6))
    make_initial_token(label="over", expires_at=NOW - timedelta(days=8))
    make_initial_token(label="used up", uses=1)
    make_initial_token(label="new and used up", uses=1)
    InitialAccessToken.objects.filter(label__contains="used up").update(uses_left=0)
    InitialAccessToken.objects.filter(label="used up").update(created_at=LONG_AGO)
    InitialAccessToken.objects.filter(label="for ever").update(created_at=LONG_AGO)
    assert purge(NOW)["initial access tokens"] == 2
    left = InitialAccessToken.objects.order_by("label").values_list("label", flat=True)
    assert list(left) == ["for ever", "good", "just over", "new and used up"]
