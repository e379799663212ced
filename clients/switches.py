"""What each policy switch of a tenant means, said once for the admin, the documentation and whoever asks why."""

from collections.abc import Mapping

from clients.tenants import WEAKENING, TenantPolicy

MEANINGS: Mapping[str, str] = {
    "compartment_mode": (
        "strict: a resource is a patient's when everybody it is about is authorised. formal: reading also reaches what "
        "names the patient in any role that FHIR R4 counts, such as performer. Writing stays strict."
    ),
    "type_overrides": (
        'Types of which one authorised patient is enough although others are named too: {"Appointment": "any"}.'
    ),
    "shared_read": "Directories, drugs and definitions may be read with scopes that reach single patients only.",
    "binary": (
        "Which Binaries a token for single patients reaches: those with a securityContext inside, also those that a "
        "readable document refers to, or none."
    ),
    "practitioner_access": "Whom a Practitioner or PractitionerRole reaches as one: everyone, their panel, or nobody.",
    "panel_by": (
        "What puts a patient on a panel besides being named in panels: being their general practitioner, or a place in "
        "an active CareTeam."
    ),
    "panels": 'Patients on a panel by name: {"Practitioner/dr-grey": ["ana", "ben"]}.',
    "proxy_relations": "Stored relations let a user act for somebody else.",
    "extra_parameters": (
        "Search parameters beyond FHIR R4 that the server behind offers: Patient.favourite, or with the kind of its "
        "values Patient.favourite:date (token, string, date, number, quantity, uri)."
    ),
    "extra_operations": (
        "Operations that read and that this server does not know, each with its declared result: "
        "Observation/$noted=Bundle, Patient/id/$overview=Parameters. Each resource in a result is checked."
    ),
    "valueset_hosts": "Hosts whose value sets may be named with :in, :not-in and terminology operations.",
    "trust_totals": "Totals of the server behind are told for narrowed searches too, because it is proven to narrow.",
    "writes": "Who may write: nobody, system/ scopes, user/ and patient/ scopes, or all of them.",
    "update_as_create": "An update of a resource that does not exist creates it under the id the client chose.",
    "allow_unversioned_writes": "Writing although the server behind has no versions to tie a write to its check.",
    "compensate": "What the server behind made of a write and should not have is deleted again.",
    "sensitive_categories": (
        "Kinds of record, and categories of them, whose ticks start empty on the consent page: FamilyMemberHistory, "
        "Observation.social-history. Whoever wants an app to have them ticks them."
    ),
    "max_consent_days": "Days after which a consent ends at the latest, however often the app is used. 0: no limit.",
    "remember_days": (
        "Days for which people may say that an app need not ask again for the same of the same record. 0: it asks."
    ),
    "age_of_majority": "The birthday on which what parents and guardians may do for a patient ends by itself.",
    "max_count": "Matches on one page of a search, at most.",
    "default_count": "Matches on one page when the client does not say.",
    "max_entries": "Entries in one batch or transaction.",
    "max_jobs": "Exports that one client may have running.",
    "max_concurrent": "Requests of one client at a time, in each worker process. 0: no limit.",
    "max_requests_per_minute": "Requests of one client and user per minute, in each worker process. 0: no limit.",
    "max_results_per_hour": "Resources for one client and user per hour until the mass reading alarm. 0: no alarm.",
}


def meaning(name: str) -> str:
    """Return what a switch means, with a warning where another value than the default weakens a rule."""
    return f"{MEANINGS[name]} Weakens a rule when changed." if name in WEAKENING else MEANINGS[name]


def stored(policy: TenantPolicy) -> dict[str, object]:
    """Return the switches that differ from the default, as they are stored."""
    defaults = TenantPolicy()
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in policy.__struct_fields__
        if (value := getattr(policy, name)) != getattr(defaults, name)
    }
