"""DPoP: tokens that are good only together with a proof by the key they were issued to.  Source: RFC 9449."""

from smartauth.proofs.verifying import key_of, verify_proof

__all__ = ["key_of", "verify_proof"]
