"""The sandbox's launcher with its two apps: the form, launches of each kind, and what was seen of them."""

from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from smartauth.sandbox.models import Run
from tests.browser.judge import Judge
from tests.browser.walks.people import EVIL, enter
from tests.world import World


def walk(page: Page, world: World, judge: Judge) -> None:
    """Launch the apps in every way, and one of them with something wrong."""
    base = f"{world.base_url}/launcher"
    page.goto(f"{base}/")
    judge(page, "launcher")
    page.goto(f"{base}/?client=growth-chart&user=dr-grey&nonsense={EVIL}")
    judge(page, "launcher, a link")
    page.get_by_label("Patient", exact=True).fill(EVIL)
    page.get_by_role("button", name="Launch").click()
    judge(page, "launcher, refused")
    _choose_and_register(page, world, judge)
    _in_the_frame(page, world, judge)
    page.goto(f"{base}/?kind=backend&client=bulk-loader&fault=expired-token")
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("button", name="Run it from here").click()
    page.locator(".results").wait_for()
    judge(page, "launcher, a service")
    page.goto(f"{base}/?kind=standalone&client=growth-chart")
    page.get_by_role("button", name="Launch").click()
    judge(page, "launcher, standalone")
    _alone(page, world, judge)
    Run.objects.all().delete()  # Later tests would be spoilt with them.


def _choose_and_register(page: Page, world: World, judge: Judge) -> None:
    page.goto(f"{world.base_url}/launcher/?client=growth-chart&user=dr-grey&patient=ana")
    page.get_by_role("button", name="Show the visits").click()
    page.locator("#encounter-found [name=pick]").first.wait_for()
    judge(page, "launcher, visits to choose from")
    page.get_by_role("button", name="Register an app on this machine").click()
    judge(page, "launcher, an app to register")
    page.get_by_label("Name", exact=True).fill(EVIL)
    page.get_by_label("Redirect URIs").fill("https://elsewhere.example.org/")
    page.get_by_label("Scopes").fill("launch/patient patient/*.rs")
    page.locator("main form").get_by_role("button").last.click()
    page.get_by_role("heading", name="Nothing was registered").wait_for()
    judge(page, "launcher, an app that is not registered")
    page.get_by_label("Redirect URIs").fill("http://localhost:3999/callback")
    page.locator("main form").get_by_role("button").last.click()
    page.get_by_text("Put this into the app").wait_for()
    judge(page, "launcher, an app that is registered")


def _in_the_frame(page: Page, world: World, judge: Judge) -> None:
    """Launch the app with a server of its own; the pages of its frame are looked at by themselves."""
    page.goto(f"{world.base_url}/launcher/?client=cardio&user=dr-grey&patient=ana&encounter=latest&intent=summary")
    page.get_by_role("button", name="Launch").click()
    enter(page, "dr-grey")
    judge(page, "consent of a clinician")
    page.locator("button[value=allow]").click()
    app = page.frame_locator("iframe.app-frame")
    expect(app.get_by_role("heading", name="Connected", exact=True)).to_be_visible()
    judge(page, "launcher, a launch")
    framed = next(frame for frame in page.frames if "/launcher/callback" in frame.url)
    judge.show(page, framed.content(), "launcher/clinic.html", "launcher, the clinic's app")
    page.goto(f"{world.base_url}/launcher/?client=growth-chart&user=dr-grey&patient=ana&place=frame&fault=wrong-aud")
    page.get_by_role("button", name="Launch").click()
    page.locator("#steps .why").first.wait_for()
    judge(page, "launcher, a fault")
    out = render_to_string("launcher/out_of_frame.html", {"target": "/", "is_refused": True})
    judge.show(page, out, "launcher/out_of_frame.html", "launcher, out of the frame")
    page.context.clear_cookies()


def _alone(page: Page, world: World, judge: Judge) -> None:
    """The sample app by itself, before it is connected, refused and connected."""
    page.goto(f"{world.base_url}/launcher/app/")
    page.locator("#connect").wait_for()
    judge(page, "sample app")
    page.locator("#connect-button").click()
    enter(page, "ben")  # Who acts for himself alone.
    page.locator("button[value=deny]").click()
    page.locator("#problem").wait_for()
    judge(page, "sample app, denied")
    page.locator("#problem-restart").click()
    page.locator("#connect-button").click()
    page.locator("button[value=allow]").click()
    page.locator("#record").wait_for()
    page.locator("#vitals svg").wait_for()
    judge(page, "sample app, connected")
