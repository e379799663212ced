"""Going on without the consent page: what was agreed to before, and what the administrator decided for clinicians."""

from smartauth import tokens
from smartauth.models import Authorization
from smartauth.people.rights import is_clinician
from smartauth.policy.consent import declined, is_sensitive
from smartauth.policy.granting import parse_registered, within
from smartauth.policy.scopes import ResourceScope, Scope
from smartauth.policy.unasked import as_text, may_be_skipped
from smartauth.views.consent_answers import Answer, longest_end, remember_days
from smartauth.views.continuing import Open


def find_answer(opened: Open, asked: tuple[Scope, ...]) -> Answer | None:
    """Return the answer to give without asking, or None when the user is to be asked."""
    return _skipped(opened, asked) or _remembered(opened, asked)


def _skipped(opened: Open, asked: tuple[Scope, ...]) -> Answer | None:
    client, slug = opened.client, opened.tenant.slug
    sensitive = opened.tenant.policy.sensitive_categories
    may = slug in client.skips_consent and may_be_skipped(
        is_public=client.is_public,
        from_ehr=opened.pending.launch is not None,
        is_clinician=is_clinician(opened.person),
        allowed_scope=client.activations.get(slug, ""),
        reaches_sensitive=any(isinstance(one, ResourceScope) and is_sensitive(one, sensitive) for one in asked),
        prompts=opened.pending.prompts,
    )
    if not may or not asked:
        return None
    terms = tokens.Terms(ends_at=longest_end(asked, opened), unasked=Authorization.Unasked.OPERATOR)
    return Answer(asked, terms, rule="consent.skipped")


def _remembered(opened: Open, asked: tuple[Scope, ...]) -> Answer | None:
    days = remember_days(opened)
    if not days:
        return None
    found = tokens.find_remembered(opened.pending, as_text(asked), opened.now, days=days)
    if found is None:
        return None
    granted = within(parse_registered(found.scope), asked)  # Never more than is possible now.
    ends = [one for one in (found.ends_at, longest_end(granted, opened)) if one is not None]
    terms = tokens.Terms(ends_at=min(ends, default=None), unasked=Authorization.Unasked.REMEMBERED)
    if not granted:
        return None
    missing = declined(asked, granted)
    return Answer(granted, terms, rule="consent.remembered", follows=found.authorization, declined=missing)
