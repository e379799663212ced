"""Fields of the administration that everybody can use."""

from typing import Any

from django.contrib.admin.widgets import AdminSplitDateTime


class DayAndTime(AdminSplitDateTime):
    """Django's two inputs for a moment, each with a name that a screen reader can say."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for part, name in zip(self.widgets, ("Day, UTC", "Time, UTC"), strict=True):
            part.attrs["aria-label"] = name
