"""``python -m tests.conformance``: write docs/conformance.md anew."""

from tests.conformance.page import PAGE, text

PAGE.write_text(text())
