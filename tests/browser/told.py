"""The headers in which the server of telling.py says what an answer was made of."""

ROUTE, MADE_OF = "x-test-route", "x-test-templates"
