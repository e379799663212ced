"""Proofs of possession that were used."""

from django.db import models


class ProofId(models.Model):
    """A spent `jti` of a DPoP proof. The primary key is what makes replay impossible (RFC 9449 §11.1)."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the key's thumbprint and the jti")
    expires_at = models.DateTimeField(help_text="From then on the proof is too old to be accepted")

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="proof_id_expiry")]

    def __str__(self) -> str:
        return f"proof {self.digest[:8]}"
