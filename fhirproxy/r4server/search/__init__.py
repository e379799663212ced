"""Search as FHIR R4 describes it: query text to criteria, criteria to matches, matches to pages."""
