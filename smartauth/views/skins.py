"""What browsers fetch to show a tenant's skin. Both are for everybody, and neither tells whose it is."""

from django.http import HttpRequest

from clients.skins import find_logo, find_stylesheet
from smartauth.errors import NotFound, Refusal
from smartauth.public_files import public_file


@public_file(endpoint="skin")
def stylesheet(request: HttpRequest, digest: str) -> tuple[str, bytes]:
    """Return the colours of a skin."""
    found = find_stylesheet(digest)
    if found is None:
        raise NotFound(Refusal("skin.stylesheet", "no skin has these colours, or none has them any more"))
    return "text/css; charset=utf-8", found.encode()


@public_file(endpoint="skin")
def logo(request: HttpRequest, digest: str, extension: str) -> tuple[str, bytes]:
    """Return the picture of a skin."""
    found = find_logo(digest, extension)
    if found is None:
        raise NotFound(Refusal("skin.logo", "no skin has this picture, or none has it any more"))
    return found
