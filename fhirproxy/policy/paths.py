"""The paths along which membership is read, taken apart when this is imported and not for every resource.

Source: FHIR R4 compartmentdefinition-patient, as in `smartauth/policy/facts`.
"""

from collections.abc import Mapping

from smartauth.policy import r4

# Dotted JSON names as the facts have them, to their steps: every primary and secondary path, and every attachment.
STEPS: Mapping[str, tuple[str, ...]] = {
    path: tuple(path.split("."))
    for name, facts in r4.memberships().items()
    for path in (*facts.primary, *facts.secondary, *r4.elements(name).attachments)
}
