"""Composition: the environment becomes settings here, and nowhere else is the environment read."""

from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ProgrammingError

from smartauth.conf import ASSERTION_ALGORITHMS, Config, UpstreamIdp
from smartauth.digests import new_secret
from smartauth.environment import Environment, is_ip_address
from smartauth.slugs import is_tenant_slug

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
MODE = env.choice("SMARTAUTH_MODE", ("production", "sandbox"), "production")
SANDBOX = MODE == "sandbox"
VAR = Path(env.text("SMARTAUTH_VAR", str(BASE_DIR / "var")))
if SANDBOX:
    from smartauth.sandbox import running

    env = Environment(running.joined(VAR, env.values))
PORT = env.port("PORT", 8000)


def sandbox_secret(name: str, make: str) -> str:
    """Return the sandbox's own secret called `name`, made once and kept under var/ until `make reset`."""
    path = VAR / name
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        running.write_private(path, make)
    return path.read_text().strip()


def database(url: str) -> dict[str, object]:
    """Return Django's database settings for a PostgreSQL connection URL."""
    form = "DATABASE_URL must look like postgresql://user:password@host:5432/database"
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured(f"{form}.")
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError as error:
        # The driver's message quotes the URL, password included.
        raise ImproperlyConfigured(f"{form}; the driver cannot read it ({type(error).__name__}).") from None
    if not parts.get("dbname"):
        raise ImproperlyConfigured(f"{form}; it names no database.")
    named = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{key: parts.pop(word, "") or "" for key, word in named.items()},
        # A database that does not answer must become a 503 before callers give up.
        "OPTIONS": {"application_name": "smartauth", "connect_timeout": "5", **parts},
        # One persistent connection per thread; a statement that finds it broken reconnects once per request.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }


BASE_URL = env.base_url("SMARTAUTH_BASE_URL", f"http://127.0.0.1:{PORT}" if SANDBOX else "")
BASE_HOST = urlsplit(BASE_URL).hostname or ""
HTTPS = BASE_URL.startswith("https://")
if not SANDBOX and not HTTPS:
    raise ImproperlyConfigured(f"SMARTAUTH_BASE_URL is {BASE_URL!r}; outside the sandbox it must be https.")

SECRET_KEY = env.secret("SMARTAUTH_SECRET_KEY")
if not SECRET_KEY and SANDBOX:
    SECRET_KEY = sandbox_secret("secret_key", new_secret() + new_secret())
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SMARTAUTH_SECRET_KEY must be set to at least 50 random characters.")
ENCRYPTION_KEYS = env.fernet_keys("SMARTAUTH_KEY_ENCRYPTION_KEYS")
if not ENCRYPTION_KEYS and SANDBOX:
    ENCRYPTION_KEYS = (sandbox_secret("encryption_key", Fernet.generate_key().decode()),)
if not ENCRYPTION_KEYS:
    raise ImproperlyConfigured("SMARTAUTH_KEY_ENCRYPTION_KEYS must be set to at least one Fernet key.")

DATABASE_URL = env.secret("DATABASE_URL")
EMBEDDED_DATABASE = SANDBOX and not DATABASE_URL
if EMBEDDED_DATABASE:
    from smartauth.sandbox import postgres

    try:
        DATABASE_URL = postgres.locate(VAR).url()
    except postgres.PostgresUnavailable as error:
        raise ImproperlyConfigured(str(error)) from None
if not DATABASE_URL:
    raise ImproperlyConfigured("DATABASE_URL must be set to a PostgreSQL connection URL.")
DATABASES = {"default": database(DATABASE_URL)}
# Sign-ins are counted in it, for all workers together; nothing else is kept there.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "smartauth_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DEFAULT_TENANT = env.text("SMARTAUTH_DEFAULT_TENANT", "sandbox" if SANDBOX else "") or None
if DEFAULT_TENANT is not None and not is_tenant_slug(DEFAULT_TENANT):
    raise ImproperlyConfigured(f"SMARTAUTH_DEFAULT_TENANT is {DEFAULT_TENANT!r}, which cannot be the slug of a tenant.")


def upstream_idp() -> UpstreamIdp | None:
    """Return the identity provider people may sign in at, None where there is none."""
    prefix = "SMARTAUTH_UPSTREAM_IDP"
    issuer, client_id = env.issuer(f"{prefix}_ISSUER", is_sandbox=SANDBOX), env.text(f"{prefix}_CLIENT_ID")
    if bool(issuer) != bool(client_id):
        raise ImproperlyConfigured(f"{prefix}_ISSUER and {prefix}_CLIENT_ID go together; set both or none.")
    if not issuer:
        return None
    scope = env.text(f"{prefix}_SCOPE", "openid")
    if "openid" not in scope.split():
        raise ImproperlyConfigured(f"{prefix}_SCOPE is {scope!r}; openid must be among them.")
    claims = env.pairs(f"{prefix}_FHIR_USER_CLAIMS")
    for slug, _ in claims:
        if not is_tenant_slug(slug):
            raise ImproperlyConfigured(f"{prefix}_FHIR_USER_CLAIMS names {slug!r}, which cannot be a tenant.")
    return UpstreamIdp(
        issuer,
        client_id,
        env.secret(f"{prefix}_CLIENT_SECRET"),
        name=env.text(f"{prefix}_NAME"),
        scope=scope,
        subject_claim=env.text(f"{prefix}_SUBJECT_CLAIM", "sub"),
        fhir_user_claims=claims,
        creates_users=env.flag("SMARTAUTH_UPSTREAM_IDP_CREATES_USERS"),
        hosts=env.hosts(f"{prefix}_HOSTS"),
    )


SANDBOX_RATE = 60_000  # On one developer's machine everybody has the same address, and much is tried quickly.
OPAQUE = env.choice("SMARTAUTH_ACCESS_TOKEN_FORMAT", ("jwt", "opaque"), "jwt") == "opaque"

SMARTAUTH = Config(
    mode="sandbox" if SANDBOX else "production",
    base_url=BASE_URL,
    default_tenant=DEFAULT_TENANT,
    encryption_keys=ENCRYPTION_KEYS,
    trusted_proxies=env.networks("SMARTAUTH_TRUSTED_PROXIES"),
    jwks_allowed_hosts=env.hosts("SMARTAUTH_JWKS_ALLOWED_HOSTS"),
    dpop_nonces=env.choice("SMARTAUTH_DPOP_NONCES", ("optional", "required"), "optional"),
    var=VAR,
    callback_iss=env.flag("SMARTAUTH_CALLBACK_ISS"),
    rate_per_address=env.number("SMARTAUTH_RATE_PER_ADDRESS", SANDBOX_RATE if SANDBOX else 600, most=1_000_000),
    rate_per_client=env.number("SMARTAUTH_RATE_PER_CLIENT", SANDBOX_RATE if SANDBOX else 6_000, most=1_000_000),
    errors_after_sign_in=env.flag("SMARTAUTH_ERRORS_AFTER_SIGN_IN"),
    registration=env.flag("SMARTAUTH_REGISTRATION", default=SANDBOX),
    app_state=env.flag("SMARTAUTH_APP_STATE"),
    task_launch=env.flag("SMARTAUTH_TASK_LAUNCH"),
    # SMART 2.2 client-confidential-asymmetric: a client may count on these two.
    assertion_algorithms=env.choices(
        "SMARTAUTH_ASSERTION_ALGORITHMS", ASSERTION_ALGORITHMS, required=("RS384", "ES384")
    ),
    access_token_format="opaque" if OPAQUE else "jwt",
    # Certified systems let apps stay for three months from each use: 93 days at least.
    refresh_token_lifetime=env.days("SMARTAUTH_REFRESH_TOKEN_DAYS", 100) or Config.refresh_token_lifetime,
    grant_lifetime=env.days("SMARTAUTH_GRANT_DAYS", None),
    upstream_idp=upstream_idp(),
)

# Who answers the picker and the consent page: see smartauth/records.py.
SMARTAUTH_RECORDS = "fhirproxy.records.ProxyRecords"

DEBUG = False
ALLOWED_HOSTS = [f"[{BASE_HOST}]" if ":" in BASE_HOST else BASE_HOST]
if SANDBOX:
    ALLOWED_HOSTS = [*{*ALLOWED_HOSTS, "localhost", "127.0.0.1", "[::1]"}]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]  # each named in itself
FORMAT_MODULE_PATH = "smartauth.formats"
LOCALE_PATHS = [BASE_DIR / "smartauth" / "locale"]
APPEND_SLASH = False
ROOT_URLCONF = "smartauth.urls"
WSGI_APPLICATION = "smartauth.wsgi.application"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024  # The proxy's limit; OAuth endpoints have a smaller one of their own.

INSTALLED_APPS = [
    "smartauth",
    "smartauth.marks",
    "smartauth.receipts",
    "smartauth.audit",
    "smartauth.people",
    "clients",
    "fhirproxy",
    "oauth2_provider",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "smartauth.administration.apps.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    *(["smartauth.sandbox"] if SANDBOX else []),
]
MIDDLEWARE = [
    "smartauth.middleware.trace",
    # Outside the sandbox not even imported.
    *(["smartauth.sandbox.launcher.watch.watch"] if SANDBOX else []),
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "smartauth.middleware.page_policy",
    "smartauth.middleware.protocol_lane",
    # From here on: what only pages with a signed-in person need. Protocol endpoints hold no session and set no cookie.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "smartauth.languages.language",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "smartauth.csrf.NoReferrerCsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "smartauth.pages.site",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from where they are, so an operator has nothing to collect.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "smartauth.people.passwords.EndsGrants"},
]
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/account/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_ADAPTER = "smartauth.people.adapter.Accounts"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
# Guesses are slowed down by user name and address: smartauth/people/wrong_passwords.py. On one developer's machine
# everybody has the same address. One address gets 60 in an hour for a name; it takes several to reach the last bound.
SIGN_INS = env.number("SMARTAUTH_SIGN_INS_PER_ADDRESS", 300 if SANDBOX else 30, most=100_000)
ACCOUNT_RATE_LIMITS = {
    "login": f"{SIGN_INS}/m/ip",
    "login_failed": f"{max(10, SIGN_INS // 10)}/m/ip,5/300s/key",
    "login_failed_anywhere": "200/3600s/key",
}
# A passkey belongs to a domain name; browsers make none for an IP address.
PASSKEYS = not is_ip_address(BASE_HOST)
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", *(["webauthn"] if PASSKEYS else [])]
MFA_PASSKEY_LOGIN_ENABLED = PASSKEYS
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ADAPTER = "smartauth.people.adapter.SealedSecondFactors"
MFA_TOTP_ISSUER = BASE_HOST

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_HSTS_SECONDS = 31_536_000
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "smartauth.pages.forbidden"
CSRF_TRUSTED_ORIGINS = [BASE_URL]

OAUTH2_PROVIDER_APPLICATION_MODEL = "clients.Client"
OAUTH2_PROVIDER_GRANT_MODEL = "smartauth.AuthorizationCode"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "smartauth.AccessToken"
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "smartauth.RefreshToken"
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "smartauth.IDToken"
OAUTH2_PROVIDER = {
    # The toolkit's own grants are not mounted; its deploy checks still see that its settings say what we do.
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "PKCE_REQUIRED": True,
    "ALLOW_URI_WILDCARDS": False,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https", "http"],
    "OIDC_ENABLED": False,
    "APPLICATION_ADMIN_CLASS": "clients.administration.clients.ClientAdmin",
    "ACCESS_TOKEN_ADMIN_CLASS": "smartauth.admin.AccessTokenAdmin",
    "REFRESH_TOKEN_ADMIN_CLASS": "smartauth.admin.RefreshTokenAdmin",
    "GRANT_ADMIN_CLASS": "smartauth.admin.AuthorizationCodeAdmin",
}
SILENCED_SYSTEM_CHECKS = [
    # RFC 9207 `iss` on the callback is off on purpose: SMART clients read it as the FHIR base of a new launch.
    "oauth2_provider.W005",
    # Native apps may have http redirects on loopback (RFC 8252 §7.3); registration refuses http everywhere else.
    "oauth2_provider.W008",
    # Our own subclass of Django's CSRF protection is in its place.
    "security.W003",
    # HSTS speaks for this host only: what else lives under its domain is not ours to decide.
    "security.W005",
    "security.W021",
    # Plain HTTP is refused, not redirected: a credential sent once in clear must not look as if it worked.
    "security.W008",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["oauth2_provider.contrib.rest_framework.OAuth2Authentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,  # The Accept header says it.
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Developer API",
    "DESCRIPTION": "What the partner portal does, for programs: register apps, look after them, see refusals.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/developers/api",
    "COMPONENT_SPLIT_PATCH": False,  # What a PATCH takes has the same members it must have.
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": ["clients.api.document.mend"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"bugs": {"()": "django.utils.log.CallbackFilter", "callback": lambda entry: bool(entry.exc_info)}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # Refusals are receipts, not log lines; a path in a log names patients. What is logged of a request is our bugs.
    "loggers": {
        "django.request": {"level": "ERROR", "filters": ["bugs"]},
        # A request too large or too odd to read is refused, with a receipt; a traceback for each would fill the disk.
        "django.security": {"level": "CRITICAL"},
        "oauth2_provider": {"level": "WARNING"},
        "oauthlib": {"level": "WARNING"},
    },
}
