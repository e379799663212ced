"""The rules of the enforcement policy, each with a way to take it away: a function or a constant of the proxy replaced.

A new rule joins by a line in the table. `section` is that of the policy, or the promise.
"""

from fhirproxy import cursors, exchange, pipeline, reading, rights, searching, upstream
from fhirproxy.policy import (
    authority,
    compartments,
    constraints,
    decisions,
    headers,
    including,
    narrowing,
    parameters,
    plans,
    references,
    shaping,
    targets,
    values,
)  # fmt: skip
from fhirproxy.policy.authority import EVERYONE, Grant
from tests.proxy.proof import without
from tests.proxy.proof.operation_rules import OPERATION_RULES
from tests.proxy.proof.rule import LEAKS, Rule
from tests.proxy.proof.write_rules import WRITE_RULES

FAITHFUL = ("T2 faithful", "T4 faithful", "T6 faithful", "T1 faithful")
CLOSED = ("T6 faithful", "T6 leaky")
LIES = ("T8 hostile", "T1 hostile")

# With every rule in place nobody may notice anything.
CONTROL = Rule("", "the control: no rule taken away", (cursors, "LIFETIME", cursors.LIFETIME))

RULES: tuple[Rule, ...] = (
    # Reading a request
    Rule("1.2", "an unknown or refused parameter is not ignored", (parameters, "_parse_criterion",
    without.unknown_ignored), CLOSED),
    Rule("1.3", "method override headers are refused", (headers, "METHOD_OVERRIDES", frozenset()), CLOSED),
    Rule("1.3", "a repeated Authorization header is refused", (headers, "SINGLE", ()), CLOSED),
    Rule("3.2", "modifiers on patient-valued parameters are refused", (parameters, "_takes_modifier",
    without.always(True)), CLOSED),
    Rule("3.5", "wildcard includes are refused", (parameters, "parse_include", without.include_anything), CLOSED),
    Rule("3.3", "foreign and versioned reference values are refused",
         (values, "find_local", without.any_reference), CLOSED),
    Rule("P4", "what is sent is escaped by us", (plans, "render", without.unescaped), CLOSED),
    Rule("1.2", "a target holds plain segments only", (targets, "SEGMENT", targets.re.compile(".*")), CLOSED),
    # Whose data
    Rule("2.2", "an empty patient set means nobody", (authority, "_patients", without.nobody_is_everybody)),
    Rule("2.2", "the patient in context lies within the user's rights", (authority, "_patients",
    without.stranger_in_context)),
    Rule("2.3", "a user who is nobody here reaches nobody", (authority, "_user_reach",
    without.unknown_user_reaches_all)),
    Rule("2.3", "fhirUser is on our own base", (authority, "user_of", without.any_base_is_ours)),
    Rule("2.3", "a relation must be active", (rights, "_related", without.inactive_relatives)),
    Rule("2.2", "a client's restrictions confine it", (authority, "_client_limit", without.always(EVERYONE))),
    Rule("2.2", "inactive members of a Group do not count", (rights, "_members", without.inactive_members)),
    Rule("2.2", "openid fhirUser shows one resource, not its type", (authority, "_own_record", without.own_type)),
    Rule("2.5", "a letter is needed", (Grant, "permits", without.by_any_letter)),
    Rule("2.5", "the type is named by the scope", (Grant, "permits", without.of_any_type)),
    Rule("2.4", "operator types are for services permitted by name",
         (authority, "is_operator_allowed", without.always(True)), LEAKS, (compartments, "is_operator_allowed",
         without.always(True))),
    Rule("2.3", "a patient reaches themselves alone", (authority, "_user_reach", without.always(EVERYONE))),
    # Membership
    Rule("P1", "every resource is checked", (compartments, "admits", without.always(True))),
    Rule("2.4", "a stranger among the primary references: no", (compartments, "_names_stranger",
    without.only_opaque_strangers)),
    Rule("2.4", "something opaque among the primary references: no", (compartments, "_names_stranger",
    without.only_named_strangers)),
    Rule("2.4", "all patients it is about, not any", (compartments, "_names_stranger", without.any_of_several)),
    Rule("2.4", "about a group or device is not about nobody", (compartments, "_is_about",
    without.about_a_group_is_about_nobody)),
    Rule("2.4", "strict, not formal membership", (compartments, "_is_about", without.formal)),
    Rule("2.4", "a secondary role counts when it is about nobody", (compartments, "_is_about",
    without.secondary_never), ("T4",)),
    Rule("2.4", "a secondary role of a stranger does not count", (compartments, "_is_about",
    without.anybody_secondary)),
    Rule("2.4", "a Patient is seen by their own id", (compartments, "is_member", without.class_is("patient-self",
    True))),
    Rule("2.4", "ids compare with their case", (compartments, "is_member", without.case_folded), LEAKS[:2]),
    Rule("2.4", "a Device of somebody is theirs", (compartments, "is_member", without.class_is("conditional", True))),
    Rule("2.4", "Provenance hangs on its targets", (compartments, "is_member", without.class_is("derived-targets",
    True))),
    Rule("2.4", "Provenance hangs on all its targets", (compartments, "_derives", without.some_target)),
    Rule("3.7", "Binary hangs on its security context", (compartments, "is_member", without.class_is("derived-binary",
    True))),
    Rule("2.4", "a document hangs on what is in it", (compartments, "is_member", without.class_is("document", True))),
    Rule("2.4", "a directory entry is for everybody", (compartments, "is_member", without.class_is("shared", False)),
    ("T4",)),
    Rule("2.4", "a reference that contradicts itself is opaque", (compartments, "classify",
    without.contradiction_overlooked)),
    Rule("2.4", "a reference by identifier is opaque", (compartments, "classify", without.identifier_is_nobody)),
    Rule("2.4", "another host is not ours", (references.Base, "relative", without.any_host)),
    Rule("2.4", "bases compare as URLs, not as prefixes", (references.Base, "relative", without.by_prefix)),
    # Filters
    Rule("2.1", "a scope's filter confines what it shows", (compartments, "admits", without.filters_overlooked)),
    Rule("2.1", "all filters of a scope hold", (compartments, "matches", without.first_filter_only)),
    Rule("2.1", "the system of a code counts", (constraints, "_matches_token", without.system_overlooked)),
    Rule("2.1", "codes compare with their case", (constraints, "_matches_token", without.codes_folded)),
    Rule("2.1", "a granular scope does not lose what it covers", (constraints, "_matches_token",
    without.always(False)), ("T4",)),
    # Searching
    Rule("3.3", "a restricted search is narrowed", (narrowing, "_narrow", without.not_narrowed), FAITHFUL[2:]),
    Rule("3.3", "the patients are said once", (narrowing, "confine", without.said_twice), CLOSED),
    Rule("3.3", "naming an outsider is refused", (narrowing, "patients_named", without.always(frozenset())), ("T4",)),
    Rule("3.3", "what cannot be narrowed is not searched", (narrowing, "UNSEARCHABLE", frozenset()), ("T4",)),
    Rule("3.8", "Provenance by target looks at the target first", (searching.Sifter, "all_members",
    without.always(True)), CLOSED),
    Rule("3.5", "totals are counted by us", (searching.Sifter, "total", without.upstream_total), ("T4", "T2")),
    Rule("3.5", "hidden matches leave no gap", (searching.Sifter, "gather", without.no_more_than_wanted), ("T4", "T2")),
    Rule("3.5", "includes are checked", (searching.Sifter, "check", without.includes_unchecked)),
    Rule("3.5", "includes are tied to a match", (including.Tie, "holds", without.always(True)), ("T4", "T2")),
    Rule("3.5", "an entry under a false URL is left out", (searching, "entry_of", without.any_entry), LIES),
    Rule("3.5", "an outcome or unknown entry is no match", (searching, "entry_of", without.any_mode),
         ("T4", "T2", "T8")),
    Rule("2.5", "an include needs a grant of its type", (narrowing, "_is_granted", without.always(True)), CLOSED),
    # Answers
    Rule("6.5", "absent and outside read the same", (reading, "not_found", without.told_apart), ("T2",)),
    Rule("6.5", "the partner is not told which", (reading, "not_found", without.told_the_partner), ("T2",)),
    Rule("2.5", "deleted is 410 for full authority only", (decisions, "read_instance", without.gone_for_all), ("T2",)),
    Rule("6.2", "URLs of the upstream become ours", (shaping, "localise", without.always(None))),
    Rule("6.2", "links of a stored Bundle are dropped", (reading, "shape", without.links_kept), ("T4",)),
    Rule("6.1", "an answer that can be read in two ways is none", (exchange, "parse_resource", without.lenient), LIES),
    Rule("6.1", "what was read is what was asked for", (exchange.Exchange, "read", without.whatever_comes), LIES),
    Rule("6.1", "redirects are not followed", (upstream, "new_handle", without.followed_redirects), LIES,
         (upstream, "_handles", upstream._Handles())),
    Rule("6.1", "an answer has a largest size", (upstream.Received, "write", without.without_end), LIES),
    Rule("3.5", "a next link stays below the base", (exchange, "follow_link", without.any_link), LIES),
    # Cursors
    Rule("P5", "a cursor is bound to its holder", (pipeline, "open_cursor", without.other_holder), ("T7",)),
    Rule("P5", "a cursor is bound to the patients", (cursors, "patients_digest", without.always("")), ("T7",)),
    Rule("P5", "a cursor carries no authority", (pipeline, "open_cursor", without.cursor_is_authority), ("T7",)),
    Rule("P5", "a cursor ends", (pipeline, "open_cursor", without.endless_cursor), ("T7",)),
    # What a tenant adds
    *OPERATION_RULES,
    # Writing
    *WRITE_RULES,
)  # fmt: skip

# A few that are noticed fast, for every run of the tests.
QUICK = tuple(
    rule
    for rule in RULES
    if rule.name
    in (
        "every resource is checked",
        "a stranger among the primary references: no",
        "a restricted search is narrowed",
        "a cursor is bound to its holder",
        "absent and outside read the same",
    )
)
