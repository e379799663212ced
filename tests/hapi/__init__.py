"""The proof of the proxy once more, in front of a server that is not ours: HAPI FHIR. `make prove-hapi` runs it."""
