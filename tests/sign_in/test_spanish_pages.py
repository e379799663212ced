"""Every page a patient can meet, in Spanish: nothing on it is left in English.

45 CFR §92.201 asks for meaningful access for people with limited English; SMART 2.2 best-practices.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from smartauth.audit import recording
from smartauth.conf import UpstreamIdp
from smartauth.models import Authorization, PendingAuthorization
from smartauth.people.models import ProxyRelation, UpstreamIdentity, User
from smartauth.policy.advertising import CATEGORIES, US_CORE_TYPES
from smartauth.policy.wording import CATEGORY_WORDS, TYPES
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    PASSWORD,
    App,
    Load,
    answer_form,
    authorize_params,
    begin,
    decide,
    load,
    make_app,
    make_person,
    more_form,
    sign_in,
)
from tests.endpoints.conftest import no_flood
from tests.factories import phone_app
from tests.proxy.conftest import Caller, call
from tests.sessions.test_staff import code_for, set_up
from tests.sign_in.hospital import Hospital, Visitor, path_of
from tests.spanish import assert_spanish, english_in
from tests.test_languages import CATALOG_ENTRIES

__all__ = ["call", "load", "no_flood"]

pytestmark = pytest.mark.usefixtures("small")

LOGIN = "/account/login/"
NEW = "another horse battery staple"
EVERYTHING = "launch/patient openid fhirUser offline_access patient/*.cruds user/*.rs"


@pytest.fixture
def browser() -> Browser:
    return Browser(headers={"Accept-Language": "es-US,es;q=0.9,en;q=0.5"})


@pytest.fixture
def parent(tenant: TenantInfo) -> User:
    """Ana, with a child and somebody she helps."""
    user = make_person(tenant, "ana", "Patient/ana")
    born, since = timezone.now().date() - timedelta(days=3_000), timezone.now() - timedelta(days=1)
    made = {"user": user, "tenant_id": tenant.pk, "starts_at": since}
    ProxyRelation.objects.create(**made, patient="ben", kind="guardian", patient_born=born)
    return user


# Signing in


def test_english_would_be_noticed(ana: User) -> None:
    browser = Browser()
    sign_in(browser, ana)
    for path in ("/nowhere", "/account/logout/", "/account/", "/account/apps"):
        assert english_in(browser.get(path).content.decode())


def test_the_sign_in_page_and_its_refusals(browser: Browser, configure: Configure, ana: User) -> None:
    configure(upstream_idp=UpstreamIdp("http://127.0.0.1:9", "smartauth", "x"))  # nobody's name, nobody there
    assert_spanish(browser.get(LOGIN), "Iniciar sesión con su organización")
    assert_spanish(browser.get(f"{LOGIN}?next=/auth/consent/x"), "No se comparte nada hasta que usted lo autorice")
    assert_spanish(browser.post(LOGIN, {}), "Este campo es")
    for _ in range(5):
        assert_spanish(browser.post(LOGIN, {"login": "ana", "password": "wrong"}), "no corresponden")
    assert_spanish(browser.post(LOGIN, {"login": "ana", "password": PASSWORD}), "Demasiados intentos", status=429)
    assert_spanish(browser.get("/account/upstream/"), "Su organización no responde", status=503)
    assert_spanish(browser.get("/account/upstream/callback?state=x"), "No se puede completar", status=400)
    assert_spanish(browser.get("/account/upstream/callback?state=x&state=y"), "No se puede leer", status=400)
    cache.clear()
    User.objects.update(is_active=False)
    assert_spanish(browser.post(LOGIN, {"login": "ana", "password": PASSWORD}), "no corresponden")


def test_the_person_hears_of_wrong_passwords(browser: Browser, ana: User) -> None:
    for last in range(5):
        Browser().post(LOGIN, {"login": "ana", "password": "wrong"}, REMOTE_ADDR=f"198.51.100.{last}")
    browser.post(LOGIN, {"login": "ana", "password": PASSWORD})
    assert_spanish(browser.get("/account/"), "Alguien escribió 5 contraseñas incorrectas", " de 20", "¿No fue usted?")


def test_signing_in_elsewhere(browser: Browser, hospital: Hospital, ana: User, grey: User) -> None:
    def there(name: str, *, cancel: bool = False, path: str = "/account/upstream/") -> HttpResponse:
        return browser.get(path_of(Visitor().go(browser.get(path).headers["Location"], name=name, cancel=cancel)))

    assert_spanish(there("s-grey", cancel=True), "City Hospital no le dejó entrar", status=403)
    assert_spanish(there("s-unknown"), "Todavía no tiene una cuenta aquí", status=403)
    assert there("s-grey", path="/account/upstream/?prompt=login").status_code == 302
    assert_spanish(browser.get("/account/"), "Inicia sesión con City Hospital")
    assert_spanish(browser.get("/account/reauthenticate/?next=/account/"), "Iniciar sesión otra vez con City Hospital")
    UpstreamIdentity.objects.create(user=ana, issuer=hospital.issuer, subject="s-ana")
    assert_spanish(
        there("s-ana", path="/account/upstream/?prompt=login"), "Ha iniciado sesión como otra persona", status=403
    )
    User.objects.filter(pk=grey.pk).update(is_active=False)
    assert_spanish(there("s-grey", path="/account/upstream/?prompt=login"), "Su cuenta está cerrada", status=403)


# The account


def test_the_account_and_a_new_password(browser: Browser, ana: User) -> None:
    sign_in(browser, ana)
    assert_spanish(browser.get("/account/"), "Todavía ninguno", "Cerrar sesión")
    assert_spanish(browser.get("/account/reauthenticate/?next=/account/password/"), "¿Sigue siendo usted?")
    path, good = "/account/password/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert_spanish(browser.get(path), "Contraseña nueva, otra vez")
    for wrong, told in (
        ({"oldpassword": "wrong"}, "contraseña actual"),
        ({"password1": "short", "password2": "short"}, "12 caracteres"),
        ({"password1": "password1234", "password2": "password1234"}, "demasiado común"),
        ({"password1": "111111111111", "password2": "111111111111"}, "contraseña"),
        ({"password2": "something else entirely"}, "misma contraseña"),
        ({"oldpassword": "", "password1": "", "password2": ""}, "Este campo es"),
    ):
        cache.clear()
        assert_spanish(browser.post(path, good | wrong), told)
    cache.clear()
    assert_spanish(browser.post(path, good, follow=True), "Contraseña cambiada")
    for _ in range(6):
        limited = browser.post(path, good | {"oldpassword": "wrong"})
    assert_spanish(limited, "Demasiadas solicitudes", status=429)
    cache.clear()
    assert_spanish(browser.get("/account/logout/"), "¿Cerrar sesión?")
    assert_spanish(browser.get("/account/signup_closed/", follow=True), status=404)


def test_second_factors(browser: Browser, ana: User) -> None:
    sign_in(browser, ana)
    index, activate = "/account/second-factor/", "/account/second-factor/totp/activate/"
    assert_spanish(browser.get(index), "Llaves de acceso", "solo crean llaves de acceso para nombres")
    assert_spanish(browser.get(activate, follow=True), "¿Sigue siendo usted?")
    secret = set_up(browser)
    assert_spanish(browser.get(index), "Configurada el", "Quedan 10 códigos")
    assert_spanish(browser.get("/account/"), "aplicación de autenticación")
    assert_spanish(browser.get(f"{index}recovery-codes/"), "Códigos de recuperación")
    assert_spanish(browser.get(f"{index}recovery-codes/"), "no se vuelven a mostrar")
    assert_spanish(browser.get(f"{index}recovery-codes/generate/"), "Los 10 que todavía tiene")
    assert_spanish(browser.post(f"{index}recovery-codes/generate/", follow=True), "Descargarlos")
    assert_spanish(browser.get(f"{index}totp/deactivate/"), "¿Quitar la aplicación de autenticación?")
    assert_spanish(browser.get("/account/second-factor/reauthenticate/"), "Otras maneras")
    assert_spanish(browser.post("/account/second-factor/reauthenticate/", {"code": "000000"}), "Ese código no sirve")
    fresh = Browser(headers={"Accept-Language": "es"})
    cache.clear()
    asked = fresh.post(LOGIN, {"login": "ana", "password": PASSWORD}, follow=True)
    assert_spanish(asked, "Una comprobación más")
    where = asked.redirect_chain[-1][0]  # type: ignore[attr-defined]
    assert_spanish(fresh.post(where, {"code": "000000"}), "Ese código no sirve")
    assert_spanish(fresh.post(where, {"code": ""}), "Este campo es")
    Authenticator.objects.filter(type="totp").update(last_used_at=None)
    cache.clear()
    assert fresh.post(where, {"code": code_for(secret)}).status_code == 302
    cache.clear()
    assert_spanish(browser.post(f"{index}totp/deactivate/", follow=True), "Configurar una aplicación")


# From the app's request to its answer


def test_pickers(browser: Browser, growth_chart: App, parent: User, load: Load) -> None:
    path = begin(browser, growth_chart, scope="launch/patient launch/encounter patient/Goal.rs")
    sign_in(browser, parent, then=path)
    coming = datetime.now(UTC).date() - timedelta(days=3_000)
    assert_spanish(browser.get(f"{path}/patient"), "Usted es su tutor o tutora", f"hasta el {coming.day} de")
    browser.post(f"{path}/patient", {"patient": "ana"})
    assert_spanish(browser.get(f"{path}/visit"), "¿Con qué visita usará usted")
    assert_spanish(browser.post(f"{path}/visit", {"day": "1901-05"}), "No hay ninguna visita en esa fecha")
    assert_spanish(browser.post(f"{path}/visit", {"day": "05/12/2020"}), "¿Qué día quiere decir?", "5 de diciembre")
    assert_spanish(browser.post(f"{path}/visit", {"visit": "nobody-s"}), "No puede elegir esta visita", status=403)
    assert_spanish(browser.post(f"{path}/patient", {"patient": "stranger"}), "No puede elegir", status=403)


@pytest.mark.parametrize("found", ["nobody", "ana", ""])
def test_the_picker_of_people_at_work(browser: Browser, growth_chart: App, dr_grey: User, found: str) -> None:
    path = begin(browser, growth_chart, scope="launch/patient patient/Goal.rs")
    sign_in(browser, dr_grey, then=path)
    assert_spanish(browser.get(f"{path}/patient"), "Buscar a una persona")
    form = {"name": found, "birthdate": "" if found else "soon", "identifier": ""}
    assert_spanish(browser.post(f"{path}/patient", form))


def test_the_pages_of_a_picker(
    browser: Browser, growth_chart: App, dr_grey: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartauth.views.picker.SHOWN", 1)
    path = begin(browser, growth_chart, scope="launch/patient patient/Goal.rs")
    sign_in(browser, dr_grey, then=path)
    page = browser.post(f"{path}/patient", {"birthdate": "mayo de 1984"})
    assert_spanish(page, "Fecha buscada:", "1 persona, y hay más", "Mostrar más")
    assert_spanish(browser.post(f"{path}/patient", more_form(page)), "2, y no hay más", "Volver al principio")
    lost = browser.post(f"{path}/patient", {"birthdate": "05/12/1984", "following": "x"})
    assert_spanish(lost, "que empieza de nuevo", "puede ser el", "se buscaron ambas fechas")


@pytest.fixture
def dr_grey(tenant: TenantInfo) -> User:
    return make_person(tenant, "dr-grey", "Practitioner/dr-grey")


def consent(browser: Browser, app: App, user: User, **params: Any) -> tuple[str, HttpResponse]:
    path = begin(browser, app, **params)
    if "_auth_user_id" not in browser.session:
        sign_in(browser, user, then=path)
    answer = browser.get(path)
    if answer.status_code == 302:
        browser.post(answer.headers["Location"], {"patient": "ana"})
        answer = browser.get(path)
    return path, answer


@pytest.mark.requirement("CONSENT-01", "CONSENT-02", "CONSENT-05")
def test_consent_has_every_type_and_every_category(browser: Browser, growth_chart: App, ana: User) -> None:
    _, page = consent(browser, growth_chart, ana, scope=EVERYTHING)
    words = [TYPES[kind] for kind in US_CORE_TYPES if kind not in ("Condition", "Observation")]
    codes = [value.rpartition("|")[2] for kind in ("Condition", "Observation") for value in CATEGORIES[kind]]
    words += [CATEGORY_WORDS[code] for code in codes]
    spanish = [CATALOG_ENTRIES[text][0] for title_and_detail in words for text in title_and_detail]
    assert len(spanish) == 2 * (25 + 9)
    said = assert_spanish(
        page, *spanish, "En su historia, la aplicación podrá ver, añadir, modificar y borrar Opcional", "Obligatorio"
    )
    assert "también los tipos de información que se añadan más adelante" in said
    assert "dentro de 365 días" in said


REQUESTS: list[dict[str, Any]] = [
    {"scope": "openid fhirUser patient/Goal.c patient/ImagingStudy.rs patient/Observation.rs?code=718-7"},
    {"scope": "openid online_access offline_access patient/Goal.u"},
    {"scope": "openid online_access user/Goal.d"},
    {"scope": "launch/patient openid"},
    {"scope": "openid user/Goal.rs"},
    {"scope": "patient/*.rs?_tag=a __special"},
]


@pytest.mark.parametrize("params", REQUESTS, ids=lambda value: value["scope"])
@pytest.mark.parametrize("policy", [{}, {"sensitive_categories": ["Observation", "Goal"], "max_consent_days": 40}])
def test_consent_in_every_shape(
    browser: Browser, tenant: TenantInfo, ana: User, params: dict[str, str], policy: dict[str, Any]
) -> None:
    registered = "launch/patient openid fhirUser online_access offline_access patient/*.cruds user/*.cruds __special"
    app = make_app(phone_app(client_name="Growth Chart", scope=registered), tenant)
    Tenant.objects.update(name="Hillside Clinic", policy=policy)
    Client.objects.update(is_operator_verified=not policy, funding="5 €" if policy else "")
    _, page = consent(browser, app, ana, **params)
    assert_spanish(page, "Hillside Clinic", "Respondido en parte" if policy else "Sin respuesta")


def test_what_was_allowed_before_and_pages_out_of_date(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = consent(browser, growth_chart, ana, scope="patient/Goal.rs offline_access")
    form = answer_form(page)
    assert_spanish(browser.post(path, form | {"duration": "3"}), "Esta duración no se ofrece", status=400)
    assert_spanish(browser.post(path, form | {"decision": ""}), "Ni autorizado ni rechazado", status=400)
    old = form | {"page": "00000000-0000-0000-0000-000000000000"}
    assert_spanish(browser.post(path, old), "Esta página ya no está al día", status=409)
    decide(browser, path, page)
    assert_spanish(browser.get(path), "Ya ha respondido", status=409)
    _, page = consent(browser, growth_chart, ana, scope="patient/Goal.rs offline_access")
    assert_spanish(page, "Poner fin a lo que autorizó antes", "No volver a preguntarme")
    path, _ = consent(browser, growth_chart, ana, scope="patient/Goal.rs")
    assert_spanish(Browser(headers={"Accept-Language": "es"}).get(path), "otro navegador", status=403)
    ago = timezone.now() - timedelta(hours=1)
    PendingAuthorization.objects.update(created_at=ago, expires_at=ago + timedelta(minutes=15))
    assert_spanish(browser.get(path), "Esta página ha caducado", status=410)
    assert_spanish(browser.get("/auth/consent/00000000-0000-0000-0000-000000000000"), "no se conoce aquí", status=404)


def test_who_has_no_record_and_records_that_are_away(
    browser: Browser, growth_chart: App, tenant: TenantInfo, ana: User, small: Any
) -> None:
    mallory = make_person(tenant, "mallory")
    _, page = consent(browser, growth_chart, mallory)
    assert_spanish(page, "No hay ninguna historia que pueda compartir")
    other = Browser(headers={"Accept-Language": "es"})
    small.fail(kind="status", status=503)
    path = begin(other, growth_chart)
    sign_in(other, ana, then=path)
    assert_spanish(other.get(path), "Las historias clínicas no responden", status=503)


def test_an_app_that_is_refused(browser: Browser, tenant: TenantInfo, growth_chart: App, ana: User) -> None:
    for params in ("", "client_id=nobody", "client_id=growth-chart&redirect_uri=https://evil.example/"):
        assert_spanish(
            browser.get(f"/auth/sandbox/authorize?{params}"), "Esta aplicación no puede empezar aquí", status=400
        )
    Client.objects.update(is_operator_verified=False)
    refused = browser.get("/auth/sandbox/authorize", authorize_params(growth_chart, response_type="token"))
    path = refused.headers["Location"]
    sign_in(browser, ana, then=path)
    assert_spanish(browser.get(path), "Growth Chart", "no puede continuar", "no escriba allí ninguna contraseña")


# Afterwards


def test_my_apps(browser: Browser, growth_chart: App, parent: User, call: Caller, tenant: TenantInfo) -> None:
    sign_in(browser, parent)
    assert_spanish(browser.get("/account/apps"), "Ninguna aplicación tiene acceso a nada suyo")
    for patient, scope in (
        ("ana", "launch/patient openid offline_access patient/*.rs"),
        ("ben", "launch/patient patient/Goal.cruds online_access"),
        ("ana", "launch/patient patient/Goal.rs user/*.rs"),
    ):
        path = begin(browser, growth_chart, scope=scope)
        browser.post(f"{path}/patient", {"patient": patient})
        decide(browser, path, browser.get(path))
    Authorization.objects.filter(scope__contains="offline").update(
        ends_at=timezone.now() + timedelta(days=7),
        remembered_until=timezone.now() + timedelta(days=7),
        remembered_scope="patient/*.rs",
    )
    Authorization.objects.filter(context__patient="ben").update(unasked="operator")
    row = Authorization.objects.filter(context__patient="ana").first()
    assert row is not None
    for kind, times in (("Goal", 1), ("Patient", 3), ("ImagingStudy", 1)):
        for _ in range(times):
            recording.AuditRecord.objects.create(
                action="read", client_id="growth-chart", tenant="sandbox", user_id=parent.pk, patient="ana",
                patients=["ana"], authorization=row.pk, resource_type=kind,
            )  # fmt: skip
    said = assert_spanish(
        browser.get("/account/apps"),
        "Objetivos, una vez, el",
        "Datos personales, 3 veces, la última el",
        "Nada de esta historia en los últimos 90 días",
        "Sigue conectada sin usted",
        "Conectada sin preguntarle, por decisión de",
        "no tiene que volver a preguntarle",
        "Su propia historia",
        "Toda la historia",
        "ver, añadir, modificar y borrar en esta historia",
    )
    now = timezone.now()
    assert f"{now.day} de " in said
    Client.objects.update(status=Client.Status.SUSPENDED)
    ProxyRelation.objects.update(ends_at=now - timedelta(seconds=1))
    Authorization.objects.update(revoked_at=None, revoked_by="")
    assert_spanish(browser.get("/account/apps"), "En pausa por decisión de", "ya no puede actuar en nombre")
    form = {"client": "growth-chart", "tenant": "sandbox"}
    assert_spanish(browser.post("/account/apps/stop", form, follow=True), "Growth Chart está detenida")
    assert_spanish(browser.post("/account/apps/stop", form, follow=True), "ya se había detenido antes")
    assert_spanish(browser.post("/account/apps/stop", form | {"client": "x"}), "no se conoce aquí", status=400)


def test_signing_out(browser: Browser, growth_chart: App, ana: User) -> None:
    sign_in(browser, ana)
    assert_spanish(browser.get("/auth/sandbox/logout?client_id=growth-chart", follow=True), "pide que cierre sesión")
    assert_spanish(browser.get("/auth/sandbox/logout", follow=True), "Una aplicación pide que cierre sesión aquí")
    assert_spanish(browser.get("/auth/sandbox/logout?client_id=x"), "No se ha cerrado su sesión", status=400)
    where = browser.get("/auth/sandbox/logout").headers["Location"]
    assert_spanish(browser.post(where), "Ha cerrado sesión")


def test_what_goes_wrong(browser: Browser, ana: User, dr_grey: User) -> None:
    assert_spanish(browser.get("/nowhere"), "Esta página no existe", status=404)
    careful = Browser(enforce_csrf_checks=True, headers={"Accept-Language": "es"})
    assert_spanish(careful.post(LOGIN, {"login": "ana"}), "Su navegador no envió ninguna cookie", status=403)
    careful.get(LOGIN)
    assert_spanish(careful.post(LOGIN, {"login": "ana"}), "ya no está al día", status=403)
    sign_in(browser, ana)
