"""People: who signs in, and which FHIR resource each of them is at each tenant."""
