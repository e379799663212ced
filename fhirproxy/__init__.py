"""The scope-enforcing FHIR proxy: what a token may reach, and how to reach it."""
