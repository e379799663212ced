"""The proof that the proxy keeps its promises: properties, a population made to break them, and servers that lie.

`python -m tests.proxy.proof` runs it long; pytest runs a bounded share. See docs/security/proxy.md.
"""
