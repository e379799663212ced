"""Roles of the administration: who looks after apps does not look after keys, and neither reads the audit trail.

A role is a group, written after every migration; people get roles on their page in the administration or from
`create_user --role`. A superuser has all of them.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db.models.signals import post_migrate

LOOK, END, EDIT = ("view",), ("view", "delete"), ("view", "add", "change")
ALL = (*EDIT, "delete")
# role: app label → (model → what may be done)
ROLES: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "Registrar": {
        "clients": {
            "client": EDIT, "tenant": EDIT, "brand": EDIT, "activation": ("view", "change"), "keyset": END,
            "keyfinding": LOOK, "assertionid": LOOK, "initialaccesstoken": END,
            "apitoken": END, "skin": EDIT,
        },
        "fhirproxy": {"upstream": EDIT, "appstatetrust": ALL},
    },
    # Not of the administration: may use the partner portal.
    "Partner": {"clients": {"client": ("own",)}},
    "Keys": {"smartauth": {"signingkey": ("view", "change")}},
    "People": {
        "people": {"user": EDIT, "fhiruser": ALL, "proxyrelation": ALL, "upstreamidentity": ALL},
        "mfa": {"authenticator": END},
    },
    # Reads everything that says who may do what and who did it, and ends what was granted; gives nothing.
    "Security officer": {
        "smartauth": {
            "authorization": ("view", "change"),
            "accesstoken": LOOK,
            "refreshtoken": LOOK,
            "authorizationcode": LOOK,
            "signingkey": LOOK,
        },
        "audit": {"auditrecord": LOOK},
        "receipts": {"receipt": LOOK, "refusalcount": LOOK},
        "clients": {
            "client": LOOK, "tenant": LOOK, "brand": LOOK, "activation": LOOK, "keyset": LOOK, "keyfinding": LOOK,
            "assertionid": LOOK, "initialaccesstoken": LOOK, "apitoken": LOOK, "skin": LOOK,
        },
        "fhirproxy": {"upstream": LOOK, "bulkjob": LOOK, "appstatetrust": LOOK},
        "people": {"user": LOOK},
    },
}  # fmt: skip

# What roles were called before; who had them keeps them.
RENAMED = {"Registry": "Registrar", "Security": "Security officer"}
OUTSIDE = frozenset({"Partner"})  # Roles of people who never enter the administration.


def keep() -> None:
    """Write the roles after every migration from now on. Called once, at start."""
    post_migrate.connect(_write, dispatch_uid="roles")


def _write(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Give the roles exactly what they may do with the models of one app."""
    concerned = {role: models for role, apps in ROLES.items() if (models := apps.get(sender.label))}
    if not concerned:
        return
    _rename(using)
    create_permissions(sender, verbosity=0, using=using)  # They may not be there yet: nobody orders receivers.
    known = {one.codename: one for one in Permission.objects.using(using).filter(content_type__app_label=sender.label)}
    for role, models in concerned.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        wanted = [known[f"{verb}_{model}"] for model, verbs in models.items() for verb in verbs]
        group.permissions.remove(*(one for one in known.values() if one not in wanted))
        group.permissions.add(*wanted)


def _rename(using: str) -> None:
    """Give roles their present names. Where both exist, whoever had the old one gets the new one."""
    groups = Group.objects.using(using)
    for before, now in RENAMED.items():
        old = groups.filter(name=before).first()
        if old is None:
            continue
        new = groups.filter(name=now).first()
        if new is None:
            old.name = now
            old.save(update_fields=["name"])
            continue
        new.user_set.add(*old.user_set.all())
        old.delete()
