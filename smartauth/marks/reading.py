"""When something last changed, as the marks have it."""

from datetime import datetime

from smartauth.marks.models import Mark


def latest_mark(*tags: str) -> datetime | None:
    """Return when the latest transaction began that left one of these marks; None where none is kept any more.

    Newest first, so that a change of just now is found at once. For pages: others' marks are read through on the way.
    """
    newest = Mark.objects.filter(tag__in=tags).order_by("-transaction_id")
    return newest.values_list("created_at", flat=True).first()
