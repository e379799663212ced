"""Signing in at somebody else's OpenID Connect provider, such as the hospital's: we are its client.

Source: OIDC Core §3.1; OIDC Discovery §4; RFC 7636; RFC 9700 §2.1.
"""
