"""Our URLs for the upstream's: in references, attachments and every other value that is a URL on its base.

Values are compared as parsed URLs and replaced one by one; narrative and free text are left alone.
"""

import re

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.references import Bases

BLANK = re.compile(r"\s")


def localise(tree: Json, bases: Bases) -> None:
    """Put our base in place of the upstream's in every URL value of `tree`, in place."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if type(value) is str:
                if value[:4].lower() == "http" and name != "div":
                    tree[name] = localise_url(value, bases)
            elif type(value) is dict or type(value) is list:
                localise(value, bases)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            if type(value) is str:
                if value[:4].lower() == "http":
                    tree[index] = localise_url(value, bases)
            elif type(value) is dict or type(value) is list:
                localise(value, bases)


def localise_url(text: str, bases: Bases) -> str:
    """Return the same place on our base when `text` is a URL on the upstream's, else `text`."""
    for base in bases.upstream:
        rest = base.written_below(text)  # Dot segments lead nowhere for us, and must not give its address away.
        if rest is not None and BLANK.search(rest) is None:  # A sentence that begins with a URL is free text.
            separator = "" if not rest or rest[0] in "?#" else "/"
            return f"{bases.public_url}{separator}{rest}"
    return text
