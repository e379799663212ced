"""A person at a browser without JavaScript: follows redirects, signs in, picks a patient and decides about consent.

Knows as much of HTML's forms as our pages use, so that a launch succeeds only when the pages work by themselves.
Source: HTML Living Standard, "Constructing the form data set"; Fetch standard, "append a request Origin header".
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import requests

MOST_STEPS = 20
TIMEOUT = 10  # seconds
BUTTONS = frozenset({"submit", "button", "reset", "image"})
TICKED = frozenset({"checkbox", "radio"})
# What asks for something, by the control that only this kind of page has, in the order in which they may come.
KINDS = {"password": "sign-in", "patient": "patient", "decision": "consent"}
# What browsers send with a form of a page whose referrer policy is no-referrer.
OF_A_FORM = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Origin": "null",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass(slots=True)
class Control:
    """One control of a form."""

    kind: str  # the type of an input or button, else the name of the element
    name: str
    value: str
    checked: bool = False

    @property
    def is_submitted(self) -> bool:
        """Whether a browser sends it without anybody pressing it."""
        return self.kind not in BUTTONS and (self.checked or self.kind not in TICKED)


@dataclass(slots=True)
class Form:
    """One form as it stands on the page."""

    action: str
    method: str
    controls: list[Control] = field(default_factory=list)

    def named(self, name: str) -> list[Control]:
        return [control for control in self.controls if control.name == name]

    def fill(self, name: str, value: str) -> None:
        """Type a value where it is asked for; signing in again asks for the password only."""
        for control in self.named(name):
            control.value = value

    def find(self, name: str, value: str) -> Control:
        """Return the control with this name and value, e.g. one button of several."""
        offered = {control.value: control for control in self.named(name)}
        assert value in offered, f"no {name} {value!r} to choose; the page offers {', '.join(offered) or 'none'}"
        return offered[value]

    def untick(self, name: str, value: str) -> None:
        control = self.find(name, value)
        assert control.checked, f"{name} {value!r} was not ticked"
        control.checked = False

    def first_button(self) -> Control:
        """Return the button that the Enter key presses."""
        return next(control for control in self.controls if control.kind == "submit")

    def entries(self, pressed: Control) -> list[tuple[str, str]]:
        """Return what a browser sends when this button is pressed."""
        sent = (control for control in self.controls if control is pressed or control.is_submitted)
        return [(control.name, control.value) for control in sent if control.name]


class _Reader(HTMLParser):
    """Collects the title, the alerts and the forms of a page."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.texts = {"title": "", "alert": ""}
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._by_id: dict[str, Form] = {}
        self._elsewhere: list[tuple[str, Control]] = []  # controls that name their form, which may stand further down
        self._reads: tuple[str, str] | None = None  # the element whose text is read, and as which of `texts`
        self.feed(markup)
        self.close()
        for form_id, control in self._elsewhere:
            self._by_id[form_id].controls.append(control)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "title":
            self._reads = (tag, "title")
        elif values.get("role") == "alert":
            self._reads = (tag, "alert")
        elif tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
            self._by_id[values.get("id", "")] = self._form
        elif tag in ("input", "button") and "disabled" not in values:
            self._add(_control(tag, values), values.get("form"))
        else:
            # Guessing what other elements send would hide that nobody taught us.
            assert tag not in ("select", "textarea"), f"this person cannot fill in a {tag}"

    def _add(self, control: Control, form_id: str | None) -> None:
        if form_id is not None:
            self._elsewhere.append((form_id, control))
        elif self._form is not None:
            self._form.controls.append(control)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if self._reads is not None and self._reads[0] == tag:
            self._reads = None

    def handle_data(self, data: str) -> None:
        if self._reads is not None:
            self.texts[self._reads[1]] += data


def _control(tag: str, values: dict[str, str]) -> Control:
    kind = values.get("type", "submit" if tag == "button" else "text")
    value = values.get("value", "on" if kind in TICKED else "")
    return Control(kind, values.get("name", ""), value, "checked" in values)


@dataclass(frozen=True, slots=True)
class Page:
    """A page this person came to."""

    path: str
    status: int
    title: str
    alert: str
    kind: str  # sign-in, patient or consent; empty for a page that asks nothing we know
    url: str = field(repr=False)
    forms: list[Form] = field(repr=False)
    policy: str = field(repr=False)  # its Content-Security-Policy

    @classmethod
    def read(cls, answer: requests.Response) -> "Page":
        """Return the page in `answer`. Fails the test for everything that is no page or asks nothing we know."""
        reader = _Reader(answer.text if "html" in answer.headers.get("Content-Type", "") else "")
        page = cls(
            path=urlsplit(answer.url).path,
            status=answer.status_code,
            kind=next((kind for name, kind in KINDS.items() if any(form.named(name) for form in reader.forms)), ""),
            url=answer.url,
            forms=reader.forms,
            policy=answer.headers.get("Content-Security-Policy", ""),
            **{name: text.strip() for name, text in reader.texts.items()},
        )
        assert answer.status_code == 200, f"{page} was not expected: {answer.text[:500]}"
        assert page.kind, f"{page} asks nothing that this person could answer"
        return page

    def form(self, name: str) -> Form:
        """Return the form with a control of this name."""
        return next(form for form in self.forms if form.named(name))

    def lets_forms_end_at(self, url: str) -> bool:
        """Whether browsers follow a form of this page there: they apply form-action to redirects, too."""
        parts = urlsplit(url)
        limit = re.search(r"form-action ([^;]*)", self.policy)
        allowed = limit is None or {f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}:"} & set(limit[1].split())
        return bool(allowed)


class Person:
    """Somebody with a browser of their own, whose cookies stay from launch to launch."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.username = username
        self.pages: list[Page] = []  # those of the last launch
        self._base_url = base_url
        self._password = password
        self._browser = requests.Session()
        self._browser.trust_env = False
        self._browser.headers["Accept"] = "text/html"

    @property
    def kinds(self) -> list[str]:
        """What the last launch asked for, in order: of sign-in, patient and consent."""
        return [page.kind for page in self.pages]

    def launch(
        self, authorize_url: str, *, patient: str | None = None, allow: bool = True, untick: Collection[str] = ()
    ) -> str:
        """Go to `authorize_url`, answer what is asked, and return the app's URL where this ends; it is not fetched.

        patient: whom to pick if asked.    allow: False denies at consent, or cancels at the picker without a `patient`.
        untick: scopes to take back at consent.
        """
        assert self._is_ours(authorize_url), f"{authorize_url} is not a URL of {self._base_url}"
        self.pages = []
        answer = self._visit("GET", authorize_url)
        for _ in range(MOST_STEPS):
            if "Location" not in answer.headers:
                page = self._turn_to(Page.read(answer))
                try:
                    form, pressed = self._fill_in(page, patient=patient, allow=allow, untick=untick)
                except AssertionError as error:
                    error.add_note(f"That was on {page}.")
                    raise
                answer = self._submit(page, form, pressed)
                continue
            # A 307 would send a password on to the next place (RFC 9700 §4.12).
            assert answer.status_code in (302, 303), f"{answer.url} redirects with {answer.status_code}"
            target = urljoin(answer.url, answer.headers["Location"])
            if not self._is_ours(target):
                blocked = self.pages and not self.pages[-1].lets_forms_end_at(target)
                assert not blocked, f"browsers block the way from {self.pages[-1]} to {target}: form-action"
                return target
            answer = self._visit("GET", target)
        raise AssertionError(f"after {MOST_STEPS} steps still not back at the app; seen were {self.pages}")

    def _turn_to(self, page: Page) -> Page:
        order = list(KINDS.values())
        late = [seen for seen in self.kinds if order.index(seen) >= order.index(page.kind)]
        assert not late, f"{page} came after {', '.join(late)}"
        self.pages.append(page)
        return page

    def _fill_in(
        self, page: Page, *, patient: str | None, allow: bool, untick: Collection[str]
    ) -> tuple[Form, Control]:
        """Fill in a form and return it with the button to press."""
        if page.kind == "sign-in":
            form = page.form("password")
            form.fill("login", self.username)
            form.fill("password", self._password)
            return form, form.first_button()
        if page.kind == "patient" and patient is not None:
            form = page.form("patient")
            return form, form.find("patient", patient)
        assert page.kind == "consent" or not allow, "a patient has to be picked, and this test names none"
        form = page.form("decision")
        for scope in untick:
            form.untick("scope", scope)
        return form, form.find("decision", "allow" if allow else "deny")

    def _submit(self, page: Page, form: Form, pressed: Control) -> requests.Response:
        target = urljoin(page.url, form.action)
        assert self._is_ours(target), f"a form of {page} is sent to {target}"
        entries = urlencode(form.entries(pressed))
        if form.method == "post":
            return self._visit("POST", target, body=entries)
        return self._visit("GET", f"{target.partition('?')[0]}?{entries}")

    def _visit(self, method: str, url: str, body: str | None = None) -> requests.Response:
        headers = {} if body is None else OF_A_FORM
        return self._browser.request(method, url, data=body, headers=headers, allow_redirects=False, timeout=TIMEOUT)

    def _is_ours(self, url: str) -> bool:
        return urlsplit(url)[:2] == urlsplit(self._base_url)[:2]
