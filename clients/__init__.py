"""The registry: who may ask, and which FHIR bases exist."""
