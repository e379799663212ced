"""The form for a tenant's skin: for somebody who knows the hospital's colours and telephone number, and no HTML."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import EmailValidator
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clients.colours import ENOUGH, Scheme, find_unreadable, parse_colour
from clients.models import Skin
from clients.pictures import NoPicture, Picture, read_picture, require_small
from clients.skins import LANGUAGES
from clients.uri_rules import web_url_problem
from smartauth.conf import config

PHONE = re.compile(r"\+?[0-9][0-9 ().-]{2,30}")
EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")  # Nothing that means more in a mailto: link.
NAMES = {"en": "English", "es": "Spanish"}
COLOUR = forms.TextInput(attrs={"size": 10, "placeholder": "#0b6e6e", "spellcheck": "false"})
# text: (label, most characters, help)
TEXTS = {
    "greeting": ("Greeting", 200, "Stands under the heading of the sign-in page."),
    "help": ("Help", 160, "Stands before the ways to reach you, at the foot of pages."),
    "phone": ("Telephone", 32, "As people dial it, for example +1 617 555 0100."),
    "email": ("E-mail", 120, "For example portal@north.example.org."),
    "help_url": ("Help page", 500, "A complete https URL."),
    "privacy_url": ("Privacy page", 500, "A complete https URL."),
}


@dataclass(frozen=True, slots=True)
class LogoInput:
    """What a form says of the picture. `data`: a new one; `kept`: one that was sent before, in base64."""

    data: bytes | None = None
    kept: str = ""
    removes: bool = False
    problem: str = ""

    def find_picture(self) -> Picture | None:
        """Return the new picture, None where there is none. Raises NoPicture."""
        if self.problem:
            raise NoPicture(self.problem)
        if self.data is not None:
            return read_picture(self.data)
        return _unpack(self.kept) if self.kept else None


class LogoWidget(forms.FileInput):
    """Shows the picture there is, and carries one along that was sent with a form in which something else was wrong."""

    current = ""  # URL of the stored picture

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> LogoInput:
        """Read the upload, which may be asked for several times."""
        kept, removes = str(data.get(f"{name}_kept", "")), f"{name}_removed" in data
        upload: UploadedFile | None = files.get(name)
        if upload is None:
            return LogoInput(kept=kept, removes=removes)
        try:
            require_small(upload.size or 0)
        except NoPicture as why:
            return LogoInput(kept=kept, removes=removes, problem=str(why))
        upload.seek(0)
        return LogoInput(upload.read(), kept, removes)

    def render(self, name: str, value: object, attrs: Any = None, renderer: Any = None) -> SafeString:
        new = _shown(value) if isinstance(value, LogoInput) else None
        picture = data_url(new) if new else self.current
        shown = format_html('<img class="logo-now" src="{}" alt="The picture">', picture) if picture else ""
        kept = ""
        if new:
            kept = format_html(
                '<input type="hidden" name="{}_kept" value="{}"><span class="logo-kept">This picture was received, and '
                "is stored when the rest is right. You need not choose it again.</span>",
                name,
                base64.b64encode(new.content).decode(),
            )
        removed = isinstance(value, LogoInput) and value.removes
        remove = format_html(
            '<label class="logo-remove"><input type="checkbox" name="{}_removed"{}> Without a picture</label>',
            name,
            SafeString(" checked") if removed else "",
        )
        chooser = super().render(name, None, {**(attrs or {}), "accept": "image/png,image/jpeg,image/webp"}, renderer)
        return format_html('<div class="logo-field">{}{}{}{}</div>', shown, kept, chooser, remove if picture else "")


class LogoField(forms.Field):
    """Cleans to a Picture, to "removed", or to None where the stored one stays."""

    widget = LogoWidget

    def clean(self, value: LogoInput) -> Picture | Literal["removed"] | None:
        try:
            picture = value.find_picture()
        except NoPicture as why:
            raise ValidationError(f"{str(why)[0].upper()}{str(why)[1:]}.") from why
        return picture or ("removed" if value.removes else None)

    def has_changed(self, initial: object, data: LogoInput | None) -> bool:
        return data is not None and (data.data is not None or bool(data.problem or data.kept) or data.removes)


class _SkinForm(forms.ModelForm):
    """Whatever is wrong stands beside its field, with what would be right; nothing that was entered is lost."""

    picture = LogoField(
        required=False,
        label="Picture",
        help_text="PNG, JPEG or WebP with at most 256 KiB and 2,048 pixels a side. It is shown up to 44 pixels high, "
        "on white in dark mode, too.",
    )
    accent_light = forms.CharField(
        required=False,
        max_length=40,
        widget=COLOUR,
        label="Colour in light mode",
        help_text="For buttons and links: # and six hexadecimal digits. Empty: our own. Text needs a contrast of "
        f"{ENOUGH} to 1; a colour with less is refused, with the nearest that will do.",
    )
    accent_dark = forms.CharField(
        required=False,
        max_length=40,
        widget=COLOUR,
        label="Colour in dark mode",
        help_text="The same for people whose devices are set to dark: a lighter one. Empty: our own.",
    )

    class Meta:
        model = Skin
        fields = ("tenant", "is_active", "name", "logo_alt", "logo_says_name", "accent_light", "accent_dark")
        labels = {
            "name": "Name",
            "logo_alt": "Text for the picture",
        }
        help_texts = {
            "is_active": "Without the tick pages have our look, and all of this is kept.",
            "name": "What patients call you. It takes the place of ours at the head of pages.",
            "logo_alt": "What the picture shows, for those who cannot see it. Empty when it only decorates the name.",
            "logo_says_name": "Then the name is not written beside it, and is what people hear who cannot see it.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row: Skin = self.instance
        for language, said in (row.texts or {}).items():
            for name, text in said.items():
                self.initial.setdefault(f"{name}_{language}", text)
        if row.logo:
            stored = Picture(row.logo_type, row.logo_width, row.logo_height, bytes(row.logo))
            self.fields["picture"].widget.current = data_url(stored)

    def clean_name(self) -> str:
        return _require_text(self.cleaned_data["name"])

    def clean_logo_alt(self) -> str:
        return _require_text(self.cleaned_data["logo_alt"])

    def clean_accent_light(self) -> str:
        return _require_readable(self.cleaned_data["accent_light"], "light")

    def clean_accent_dark(self) -> str:
        return _require_readable(self.cleaned_data["accent_dark"], "dark")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        texts: dict[str, dict[str, str]] = {}
        for language in LANGUAGES:
            for name in TEXTS:
                field = f"{name}_{language}"
                if problem := _text_problem(name, text := cleaned.get(field) or ""):
                    self.add_error(field, problem)
                elif text:
                    texts.setdefault(language, {})[name] = text
        self.instance.texts = texts
        if cleaned.get("picture"):
            _set_logo(self.instance, cleaned["picture"])
        if cleaned.get("logo_says_name") and not self.instance.logo_digest and "picture" not in self.errors:
            self.add_error("logo_says_name", "There is no picture: choose one, or take the tick away.")
        return cleaned


def _text_fields() -> dict[str, forms.Field]:
    return {
        f"{name}_{language}": forms.CharField(
            required=False, label=label, max_length=most, help_text=says, widget=forms.TextInput(attrs={"size": 70})
        )
        for language in LANGUAGES
        for name, (label, most, says) in TEXTS.items()
    }


# A form's metaclass collects fields from the class body only, and these come twice.
SkinForm = type("SkinForm", (_SkinForm,), {"__module__": __name__, **_text_fields()})


def text_fieldsets() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the texts by language, as the admin lays them out."""
    says = "Plain text. What is missing in one language is shown in the other."
    return tuple(
        (f"In {NAMES[language]}", {"fields": tuple(f"{name}_{language}" for name in TEXTS), "description": says})
        for language in LANGUAGES
    )


def data_url(picture: Picture) -> str:
    """Return a picture as a URL that holds it: for pages about one that is not stored, or not public."""
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.content).decode()}"


def _set_logo(row: Skin, logo: Picture | Literal["removed"]) -> None:
    picture = Picture("", 0, 0, b"") if logo == "removed" else logo
    row.logo, row.logo_type, row.logo_width, row.logo_height = (
        *(picture.content, picture.media_type),
        *(picture.width, picture.height),
    )
    row.logo_digest = hashlib.sha256(picture.content).hexdigest() if picture.content else ""


def _shown(value: LogoInput) -> Picture | None:
    """Return the good picture that came with a form or an earlier one, whatever is wrong with the form."""
    for one in (value, LogoInput(kept=value.kept)):
        try:
            return one.find_picture()
        except NoPicture:
            continue
    return None


def _unpack(kept: str) -> Picture:
    try:
        return read_picture(base64.b64decode(kept, validate=True))
    except binascii.Error:
        raise NoPicture("the picture was lost on the way: choose it again") from None


def _require_text(text: str) -> str:
    if not text.isprintable():
        raise ValidationError("There are characters in it that cannot be shown: type it anew, as plain text.")
    return text


def _require_readable(text: str, scheme: Scheme) -> str:
    if not text:
        return ""
    try:
        colour = parse_colour(text)
    except ValueError as why:
        raise ValidationError(f"This is no colour: {why}.") from why
    if found := find_unreadable(colour, scheme):
        raise ValidationError(
            f"{colour} cannot be read well enough in {scheme} mode: its contrast with the {found.against} "
            f"({found.colour}) is {found.told_ratio} to 1, and {ENOUGH} to 1 is needed. The nearest colour that passes "
            f"is {found.nearest}."
        )
    return colour


def _text_problem(name: str, text: str) -> str:
    """Say why a text may not be on a page, or return ""."""
    if not text:
        return ""
    if not text.isprintable():
        return "There are characters in it that cannot be shown: type it anew, as plain text."
    if name.endswith("_url") and (problem := web_url_problem(text, http_on_loopback=config().is_sandbox)):
        return f"Write a complete https URL: {problem}."
    if name == "phone" and PHONE.fullmatch(text) is None:
        return "Write a telephone number: digits, with spaces, ( ) . - and a + before them if you like."
    if name == "email":
        try:
            EmailValidator()(text)
        except ValidationError:
            return "Write an e-mail address, for example portal@north.example.org."
        if EMAIL.fullmatch(text) is None:
            return "Write an e-mail address of letters, digits and . _ + - alone."
    return ""
