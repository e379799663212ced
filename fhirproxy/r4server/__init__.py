"""A small, deliberately permissive FHIR R4 server: the upstream of the sandbox and of the tests, a process of its own.

It checks one bearer credential and nothing else. Who may see what is the proxy's business; this is what it must tame.
"""
