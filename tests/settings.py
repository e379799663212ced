"""Settings of the test suite: the sandbox's, on a database of their own."""

import os
from pathlib import Path

from smartauth.sandbox import postgres

VAR = Path(__file__).resolve().parent.parent / "var" / "tests"
VAR.mkdir(parents=True, exist_ok=True)
# A run in several processes hands its environment on: what this file wrote there names no database of somebody else.
INHERITED = os.environ.get("TESTS_DATABASE_URL", "")
CLUSTER = None if os.environ.get("DATABASE_URL", "") not in ("", INHERITED) else postgres.locate(VAR)

os.environ["SMARTAUTH_MODE"] = "sandbox"
os.environ["SMARTAUTH_VAR"] = str(VAR)  # A sandbox that runs in this checkout is not joined.
os.environ.setdefault("SMARTAUTH_SECRET_KEY", "tests only, never anywhere else: 0123456789 abcdefghijklmnop")
os.environ.setdefault("SMARTAUTH_KEY_ENCRYPTION_KEYS", "dGVzdHMgb25seSwgbmV2ZXIgYW55d2hlcmUgZWxzZSE=")
for name in ("PORT", "SMARTAUTH_BASE_URL", "SMARTAUTH_DEFAULT_TENANT", "SMARTAUTH_TRUSTED_PROXIES"):
    os.environ.pop(name, None)
if CLUSTER is not None:
    os.environ["DATABASE_URL"] = os.environ["TESTS_DATABASE_URL"] = CLUSTER.url()

from dataclasses import replace  # noqa: E402

from smartauth.settings import *  # noqa: E402, F403
from smartauth.settings import SMARTAUTH as _SMARTAUTH  # noqa: E402

SMARTAUTH = replace(_SMARTAUTH, audit_reads="before")
# Argon2 on purpose costs what a test run does not have.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Every test client builds the middleware anew, and listing all static files is by far the longest part of that.
WHITENOISE_AUTOREFRESH = True
# Two runs in one checkout do not take the database from each other.
DATABASES["default"]["TEST"] = {"NAME": f"test_{os.getpid()}"}  # noqa: F405
