"""How the pages of a tenant look to its patients."""

from django.db import models
from django.db.models import Q

from clients.models.tenants import Tenant

HEX = r"^(#[0-9a-f]{6})?$"


class Skin(models.Model):
    """What a tenant puts in place of our name, mark, colour and silence. `clients/skins.py` reads it.

    The picture lives here, so that no worker needs files and a backup of the database has everything.
    """

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, related_name="skin")
    is_active = models.BooleanField("pages wear it", default=True)
    name = models.CharField(max_length=60)
    logo = models.BinaryField(blank=True, default=b"", editable=False)
    logo_type = models.CharField(max_length=10, blank=True, default="", editable=False)
    logo_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    logo_width = models.PositiveSmallIntegerField(default=0, editable=False)
    logo_height = models.PositiveSmallIntegerField(default=0, editable=False)
    logo_alt = models.CharField(max_length=100, blank=True, default="")
    logo_says_name = models.BooleanField("the picture shows the name", default=False)
    accent_light = models.CharField(max_length=7, blank=True, default="", help_text="Empty: ours")
    accent_dark = models.CharField(max_length=7, blank=True, default="", help_text="Empty: ours")
    texts = models.JSONField(default=dict, blank=True, help_text="By language, then by name")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="skin_accents_are_colours", condition=Q(accent_light__regex=HEX) & Q(accent_dark__regex=HEX)
            ),
            models.CheckConstraint(
                name="skin_logo_is_whole",
                condition=Q(logo=b"", logo_type="", logo_digest="")
                | (Q(logo_type__in=["image/png", "image/jpeg", "image/webp"]) & ~Q(logo_digest="") & ~Q(logo=b"")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
