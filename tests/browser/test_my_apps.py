"""My apps and signing out by an app, with a real browser in front of running workers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Event
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from clients.models import Client
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.browser.test_app_launch import allow, cast, connect, sign_in, token_of
from tests.workers import connect_to_each_worker
from tests.world import World

__all__ = ["cast"]

PROMISED = 1.0  # seconds from the click until no worker lets the app read
EVERY = 0.02  # seconds between two reads on each worker


@pytest.fixture(autouse=True)
def nothing_connected(world: World) -> None:
    Authorization.objects.all().delete()


@dataclass
class Worker:
    """One worker process. `seen` has each status that differs from the one before, and when it first came."""

    connection: HTTPConnection
    seen: list[tuple[int, float]] = field(default_factory=list)

    def read(self, path: str, token: str) -> int:
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = self.connection.getresponse()
        answer.read()
        if not self.seen or self.seen[-1][0] != answer.status:
            self.seen.append((answer.status, time.monotonic()))
        return answer.status


@contextmanager
def reading_on_every_worker(world: World, token: str) -> Iterator[list[Worker]]:
    """Read with an app's token on both worker processes at once, while the block runs and until both have refused."""
    path = f"{urlsplit(world.fhir_base).path}/Patient/ana"
    workers = [Worker(connection) for connection in connect_to_each_worker(world.base_url, 2)]
    assert [worker.read(path, token) for worker in workers for _ in range(3)] == [200] * 6  # Both remember the token.
    is_done = Event()

    def keep_reading(worker: Worker) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (worker.read(path, token) == 401 and is_done.is_set()):
            time.sleep(EVERY)

    with ThreadPoolExecutor(len(workers)) as pool:
        done = [pool.submit(keep_reading, worker) for worker in workers]
        try:
            yield workers
        finally:
            is_done.set()
        for one in done:
            one.result(60)
    for worker in workers:
        worker.connection.close()


@pytest.mark.clocked
@pytest.mark.requirement("ONC-14", "ONC-19")
@pytest.mark.requirement("REVOKE-07", "REVOKE-08")
def test_a_person_stops_an_app_and_it_is_out_within_a_second(page: Page, world: World, cast: dict[str, User]) -> None:
    connect(page, world)
    sign_in(page, "ana")
    allow(page)
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()
    app = page.context.new_page()
    app.goto(f"{world.base_url}/account/apps")
    expect(app.get_by_role("heading", name="Growth Chart")).to_be_visible()
    expect(app.get_by_text("Ana Lindqvist")).to_be_visible()
    expect(app.get_by_text("The whole record").first).to_be_visible()
    asked_at: list[float] = []
    app.on("request", lambda request: asked_at.append(time.monotonic()) if request.method == "POST" else None)
    with reading_on_every_worker(world, token_of(page)) as workers:
        app.get_by_role("button", name="Stop now: Growth Chart").click()
        expect(app.get_by_role("status")).to_contain_text("Growth Chart is stopped")
    for worker in workers:
        assert [status for status, _ in worker.seen] == [200, 401]  # It never reads again.
        assert worker.seen[1][1] - asked_at[0] < PROMISED
    page.get_by_role("button", name="Refresh token").click()
    expect(page.get_by_text("There is a new token.")).to_have_count(0)


@pytest.mark.requirement("OIDC-18")
def test_a_post_from_the_app_asks_the_person_and_sends_them_back(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    bye = f"{world.base_url}/launcher/app/"
    Client.objects.filter(client_id="growth-chart").update(post_logout_redirect_uris=bye)
    connect(page, world)
    sign_in(page, "ana")
    allow(page)
    page.wait_for_url(bye)
    fields = {"client_id": "growth-chart", "post_logout_redirect_uri": bye, "state": "s"}
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    form = f'<form method="post" action="{world.base_url}/auth/sandbox/logout">{inputs}<button>Bye</button></form>'
    # The same server under its other name is another site to the browser, and its form brings no cookies along.
    elsewhere = world.base_url.replace("127.0.0.1", "localhost")
    page.route(f"{elsewhere}/elsewhere", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{elsewhere}/elsewhere")
    page.get_by_role("button", name="Bye").click()
    expect(page.get_by_role("heading", name="Sign out?")).to_be_visible()
    expect(page.get_by_text("You are signed in as ana")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{bye}?state=s")
    page.goto(f"{world.base_url}/account/apps")
    expect(page.get_by_label("User name")).to_be_visible()
