"""Launches from the launcher: beginning one, finding one again, and how few are kept."""

import contextlib
import os
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.db.models import Q, QuerySet

from smartauth.conf import config
from smartauth.digests import digest
from smartauth.sandbox.launcher.choices import Choices
from smartauth.sandbox.launcher.kinds import KINDS
from smartauth.sandbox.models import Handle, Run
from smartauth.sealing import Unsealable, decrypt, encrypt

KEPT_FOR = timedelta(hours=12)
MOST_RUNS = 200  # of everybody together; the oldest go first
MOST_SHOWN = 8  # to the browser that began them
MOST_HANDLES = 200  # of one run
EHR_WATCH = timedelta(hours=2)  # An app that an EHR launched is known by its handle, however long somebody tries it.
EHR_PATIENCE = timedelta(minutes=15)  # An app that has lost its handle comes soon, or begins something else.
PURPOSE = "launcher"


def begin(found: Choices, *, browser: str, opened: str, launch: str, now: datetime) -> Run:
    """Store a launch and watch it from now on.

    browser: the value of the cookie of who begins it.    opened: where the app is opened, "" if it opens itself.
    launch: the handle that comes with it, "" for none.
    """
    _forget_old(now)
    watched = EHR_WATCH if KINDS[found.kind].from_ehr else timedelta(minutes=int(found.minutes))
    run = Run.objects.create(
        browser=digest(browser),
        kind=found.kind,
        client_id=found.client,
        choices={name: getattr(found, name) for name in Choices.__dataclass_fields__},
        fault=found.fault,
        habit=found.habit,
        opened=encrypt(opened.encode(), purpose=PURPOSE) if opened else "",
        begun_at=now,
        watched_until=now + watched,
    )
    know(run, [launch] if launch else [])
    watch_until(run.watched_until)
    return run


def choices_of(run: Run) -> Choices:
    """Return what was chosen for a launch."""
    return Choices(**{name: run.choices[name] for name in Choices.__dataclass_fields__ if name in run.choices})


def opened_url(run: Run) -> str:
    """Return the URL at which the app is opened, "" when there is none."""
    try:
        return decrypt(run.opened, purpose=PURPOSE).decode() if run.opened else ""
    except Unsealable:
        return ""  # The keys were changed since.


def find(pk: UUID, browser: str) -> Run | None:
    """Return a launch to whoever began it, in the browser it was begun in, and to nobody else."""
    return Run.objects.filter(pk=pk, browser=digest(browser)).first() if browser else None


def of_browser(browser: str) -> list[Run]:
    """Return the latest launches that a browser began, newest first."""
    return list(Run.objects.filter(browser=digest(browser)).order_by("-begun_at")[:MOST_SHOWN]) if browser else []


def know(run: Run, shown: Iterable[str]) -> None:
    """Remember by digest what requests of this run will show."""
    new = [Handle(digest=digest(one), run=run) for one in shown if one]
    if new and run.handles.count() < MOST_HANDLES:
        Handle.objects.bulk_create(new, ignore_conflicts=True)


def known_by(shown: Iterable[str]) -> Run | None:
    """Return the run to which one of these belongs, or None."""
    digests = [digest(one) for one in shown if one]
    handle = Handle.objects.filter(digest__in=digests).select_related("run").first() if digests else None
    return handle.run if handle else None


def watched(client_id: str, *, browser: str, now: datetime) -> Run | None:
    """Return the launch a client means that shows nothing to know it by: its latest that begins by itself.

    browser: whose launches, "" for anybody's. In a known browser it may also be one from an EHR that lost its handle.
    """
    meant = Q(kind__in=[kind.id for kind in KINDS.values() if not kind.from_ehr])
    if browser:
        meant = (meant | Q(begun_at__gt=now - EHR_PATIENCE)) & Q(browser=digest(browser))
    runs: QuerySet[Run] = Run.objects.filter(meant, client_id=client_id, watched_until__gt=now)
    return runs.order_by("-begun_at").first()


def watched_of_client(client_ids: Iterable[str], *, browser: str, now: datetime) -> Run | None:
    """Return the latest launch watched of one of these clients. browser: who began it, "" for anybody."""
    runs: QuerySet[Run] = Run.objects.filter(client_id__in=list(client_ids), watched_until__gt=now)
    return (runs.filter(browser=digest(browser)) if browser else runs).order_by("-begun_at").first()


def watched_clients(now: datetime) -> list[str]:
    """Return the clients whose launches are watched, in any order."""
    return list(Run.objects.filter(watched_until__gt=now).values_list("client_id", flat=True).distinct())


def watched_alone(now: datetime) -> Run | None:
    """Return the latest launch, where one browser alone began whatever is watched and new; else None."""
    new = Run.objects.filter(watched_until__gt=now, begun_at__gt=now - EHR_PATIENCE)
    return new.order_by("-begun_at").first() if new.values("browser").distinct().count() == 1 else None


def framed_of(browser: str, now: datetime) -> Run | None:
    """Return the latest launch that a browser shows in a frame, or None."""
    runs: QuerySet[Run] = Run.objects.filter(browser=digest(browser), watched_until__gt=now, choices__place="frame")
    return runs.order_by("-begun_at").first() if browser else None


def anything_watched() -> bool:
    """Return False while no launch is watched, at the price of one look at a file: all other requests pay it, too."""
    try:
        return _sign().stat().st_mtime > time.time()
    except OSError:
        return False


def watch_until(moment: datetime) -> None:
    """Have every worker look at requests until `moment`, at least."""
    sign, until = _sign(), moment.timestamp()
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch(exist_ok=True)
    with contextlib.suppress(OSError):
        if sign.stat().st_size == 0 or sign.stat().st_mtime < until:
            sign.write_text("The launcher watches until the time of this file.\n")
            os.utime(sign, (until, until))


def _sign() -> Path:
    return config().var / "launcher-watches"


def _forget_old(now: datetime) -> None:
    Run.objects.filter(begun_at__lt=now - KEPT_FOR).delete()
    surplus = list(Run.objects.order_by("-begun_at").values_list("pk", flat=True)[MOST_RUNS - 1 :])
    if surplus:
        Run.objects.filter(pk__in=surplus).delete()
