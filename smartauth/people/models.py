"""Users, what FHIR resource each one is at a tenant, and for whom else a user may act."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

# Person only where no other fits; Organization, Device and the rest never sign in (SMART 2.2, "Scopes for requesting
# identity data").
FHIR_USER = r"^(Patient|Practitioner|PractitionerRole|RelatedPerson|Person)/[A-Za-z0-9.-]{1,64}$"


class User(AbstractUser):
    """Someone who can sign in. `subject` is the `sub` apps see: random, stable, never reassigned, not an e-mail."""

    subject = models.UUIDField(default=uuid.uuid4, editable=False)

    class Meta(AbstractUser.Meta):
        constraints = [models.UniqueConstraint(fields=["subject"], name="user_subject_is_unique")]


class FhirUser(models.Model):
    """The FHIR resource that a user is at one tenant, relative to the tenant's FHIR base."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="fhir_users", db_index=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="+")
    reference = models.CharField(max_length=96, help_text="For example Practitioner/dr-grey")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "tenant"], name="fhir_user_once_per_tenant"),
            models.CheckConstraint(name="fhir_user_grammar", condition=Q(reference__regex=FHIR_USER)),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.reference}"


class ProxyRelation(models.Model):
    """A user may act for a patient who is somebody else: a parent, a guardian, a caregiver.

    It holds from `starts_at` until the first of `ends_at` and `of_age_at`.
    """

    class Kind(models.TextChoices):
        PARENT = "parent"
        GUARDIAN = "guardian"
        CAREGIVER = "caregiver"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="relations", db_index=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="+")
    patient = models.CharField(max_length=64, help_text="Logical id of the Patient")
    kind = models.CharField(
        max_length=9,
        choices=Kind.choices,
        default=Kind.CAREGIVER,
        db_default=Kind.CAREGIVER,
        help_text="What a parent or guardian may do ends when the patient comes of age; what a caregiver may does not",
    )
    patient_born = models.DateField(
        null=True, blank=True, help_text="The patient's birth date, which says when that is: for parents and guardians"
    )
    relation = models.CharField(max_length=64, blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    # Kept by the database, from the birth date and the tenant's age_of_majority.
    of_age_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "tenant", "patient"], name="proxy_relation_once_per_patient"),
            models.CheckConstraint(
                name="proxy_relation_ends_after_it_starts",
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=models.F("starts_at")),
            ),
            models.CheckConstraint(
                name="proxy_relation_of_a_minor_knows_the_birth_date",
                condition=Q(kind="caregiver") | Q(patient_born__isnull=False),
                violation_error_message="A parent's or guardian's relation ends when the patient comes of age: "
                "enter the patient's birth date under patient born.",
            ),
            models.CheckConstraint(
                name="proxy_relation_patient_id", condition=Q(patient__regex=r"^[A-Za-z0-9.-]{1,64}$")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} for Patient/{self.patient}"


class UpstreamIdentity(models.Model):
    """Who a user is at an identity provider. Issuer and subject name a person; no e-mail address or name does."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="upstream_identities")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "upstream identities"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="upstream_identity_names_one_user"),
            models.CheckConstraint(name="upstream_identity_is_named", condition=~Q(issuer="") & ~Q(subject="")),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.subject} at {self.issuer}"
