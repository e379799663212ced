"""How a tenant reads the patient compartment: strictly, or as the text of FHIR R4 has it.

Source: FHIR R4 compartmentdefinition-patient.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MembershipRules:
    """What decides whose a resource is. The defaults are the strict ones.

    is_formal: any role that R4 counts will do, whoever else the resource is about.  any_of: types of which one
    authorised patient among those it is about is enough.  shared_read: directories and definitions belong to everybody.
    """

    is_formal: bool = False
    any_of: frozenset[str] = frozenset()
    shared_read: bool = True


STRICT = MembershipRules()
