"""Which fields the registration wizard shows on each step, for each kind of app, and in which words. Pure.

The members are those of client metadata; what may be in them is said by `findings.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from clients.app_kinds import KINDS
from clients.models import AppKind, AuthMethod, Client

Widget = Literal["text", "email_lines", "long", "url", "lines", "choice", "select", "switch"]
STEP_TITLES = MappingProxyType({"identity": "What it is", "connection": "URLs and keys", "data": "Data wanted"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer among several, with what it means."""

    value: str
    title: str
    detail: str = ""
    is_recommended: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One thing asked. `note` stands below the label; `not_for` are kinds of app that are not asked."""

    member: str
    label: str
    widget: Widget = "text"
    note: str = ""
    example: str = ""
    choices: tuple[Choice, ...] = ()
    is_needed: bool = False
    not_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under one heading. A folded one is optional for most, and opens with a click or when it has a finding."""

    title: str
    fields: tuple[Field, ...]
    note: str = ""
    is_folded: bool = False


_SERVICE = frozenset({str(AppKind.SERVICE)})
_NOT_CLINICIAN = frozenset({str(AppKind.PATIENT), str(AppKind.SERVICE)})

_WHO = Section(
    "",
    (
        Field("client_name", "Name of the app", note="As people know it.", is_needed=True),
        Field("publisher", "Publisher", note="The organisation or person who answers for it.", is_needed=True),
        Field(
            "purpose",
            "Purpose",
            "long",
            "One or two plain sentences. Whoever decides about the app reads them.",
            is_needed=True,
        ),
        Field("contacts", "Contacts", "email_lines", "E-mail addresses where somebody reads; for the hospital only.",
              "dev@example.org", is_needed=True),
    ),
)  # fmt: skip
_LINKS = (
    Field("client_uri", "Website", "url", example="https://app.example.org"),
    Field("logo_uri", "Logo", "url", "The browsers of the people who use it never fetch it.",
          "https://app.example.org/logo.svg"),
    Field("policy_uri", "Privacy policy", "url", example="https://app.example.org/privacy"),
    Field("tos_uri", "Terms of use", "url", example="https://app.example.org/terms"),
)  # fmt: skip
_TOLD = (
    Field("intended_users", "Made for", note="For whom it is made, in plain words.",
          example="Adults with diabetes and their families"),
    Field("funding", "Who pays for it?", "long", "Subscriptions, advertising, a grant, an insurer …"),
    Field("data_sharing", "Does it pass data on?", "long", "To whom, for what, and whether people can say no."),
    Field("data_deletion", "How do people have their data deleted?", "long"),
)  # fmt: skip

_APPLICATION_TYPES = (
    Choice(Client.ApplicationType.WEB, "On a web server or in a browser page"),
    Choice(Client.ApplicationType.NATIVE, "Installed on a phone or computer"),
)
METHODS = (
    Choice(
        AuthMethod.PRIVATE_KEY_JWT,
        "A key pair",
        "The app signs, we hold the public part only. Nothing secret ever travels.",
        is_recommended=True,
    ),
    Choice(
        AuthMethod.NONE,
        "Nothing: it is public",
        "For apps that run where their users could read a secret: in a browser page, on a phone.",
    ),
    Choice(
        AuthMethod.BASIC,
        "A shared secret",
        "We make it and show it once. Whoever reads it in a log or a backup is your app, so we advise against it.",
    ),
    Choice(
        AuthMethod.POST,
        "A shared secret, sent in the body",
        "Only for libraries that cannot send it in a header.",
    ),
)
_WHERE = (
    Field("application_type", "Where does it run?", "choice", choices=_APPLICATION_TYPES, not_for=_SERVICE),
    Field("redirect_uris", "Redirect URIs", "lines",
          "Where people come back to, one a line. Compared character by character.",
          "https://app.example.org/callback", is_needed=True, not_for=_SERVICE),
    Field("launch_urls", "Launch URLs", "lines", "What the EHR opens, one a line. Leave it empty if it is never "
          "opened from a chart.", "https://app.example.org/launch", not_for=_NOT_CLINICIAN),
)  # fmt: skip
METHOD = Field(
    "token_endpoint_auth_method", "How does it prove who it is?", "choice", choices=METHODS, not_for=_SERVICE
)
_SIGNING = Field(
    "token_endpoint_auth_signing_alg", "Signature algorithm", "select", "Leave it open unless you use only one.",
    choices=(Choice("", "Any that we accept"), *(Choice(alg, alg) for alg in ("RS384", "ES384", "RS256", "ES256"))),
)  # fmt: skip
_ID_TOKENS = Field(
    "id_token_signed_response_alg", "ID tokens are signed with", "select",
    choices=(Choice("", "RS256, as everybody expects"), Choice("ES256", "ES256")), not_for=_SERVICE,
)  # fmt: skip
_VERSIONS = (Choice("", "2.2 or 2.1"), Choice("2.0", "2.0"), Choice("1.0", "1.0"))
_MORE = Section(
    "More, for those who know they need it",
    (
        Field("allowed_origins", "Origins of its pages", "lines", "Of browser pages that call us directly; those of "
              "the redirect URIs count anyway.", "https://app.example.org", not_for=_SERVICE),
        Field("post_logout_redirect_uris", "Where people go after signing out", "lines",
              example="https://app.example.org/bye", not_for=_SERVICE),
        _SIGNING,
        _ID_TOKENS,
        Field("smart_version", "Written for SMART App Launch", "select", choices=_VERSIONS),
        Field("require_pushed_authorization_requests", "It always pushes its authorization requests (PAR)", "switch",
              not_for=_SERVICE),
        Field("dpop_bound_access_tokens", "Its tokens are bound to a key (DPoP)", "switch"),
        Field("require_dpop_nonce", "Its DPoP proofs carry a nonce of ours", "switch"),
        Field("software_id", "Software id", note="The same for every instance of the software."),
        Field("software_version", "Software version"),
    ),
    is_folded=True,
)  # fmt: skip


def sections(step: str, kind: str) -> tuple[Section, ...]:
    """Return what a step asks of a kind of app. Keys and data have forms of their own and are not among the fields."""
    if step == "identity":
        told = Section(
            "What people are told before they decide", _TOLD, "What you leave open is shown as not answered."
        )
        links = Section("Links", _LINKS, is_folded=True)
        found = (_WHO, links) if kind == AppKind.SERVICE else (_WHO, told, links)
    elif step == "connection":
        found = (Section("", (*_WHERE, METHOD)), _MORE)
    else:
        found = ()
    return tuple(filled for one in found if (filled := _for_kind(one, kind)).fields)


def step_fields(step: str, kind: str) -> tuple[Field, ...]:
    """Return the fields of a step, without their sections."""
    return tuple(field for section in sections(step, kind) for field in section.fields)


def _for_kind(section: Section, kind: str) -> Section:
    hidden = KINDS[kind].hidden
    fields = tuple(one for one in section.fields if kind not in one.not_for and one.member not in hidden)
    return Section(section.title, fields, section.note, section.is_folded)


LAUNCH_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "launch": ("Opened from the chart", "The EHR tells it which patient and visit are open."),
        "launch/patient": ("Ask whose record", "When opened by itself, people pick a patient first."),
        "launch/encounter": ("Ask which visit", "When opened by itself, a visit is picked first."),
        "openid": ("Know who signed in", "It gets an ID token with a number that stands for the person."),
        "fhirUser": ("Know their entry in the records", "Which Patient or Practitioner the person is."),
        "offline_access": ("Stay connected", "It may come back when nobody is there, until somebody stops it."),
        "online_access": ("While they are signed in", "It may refresh its token until the person signs out."),
    }
)
