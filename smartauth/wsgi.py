"""The application a WSGI server loads, once per worker process."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smartauth.settings")
application = get_wsgi_application()

import smartauth.urls  # noqa: E402, F401 - with every view, so that the first request does not wait for them
from smartauth.marks.poller import poller  # noqa: E402 - models exist only after the set-up above

poller.serve()
# What is loaded now stays as long as the worker. Left to the collector it is looked through again whenever a large
# answer has been taken apart, for tens of milliseconds each time.
gc.collect()
gc.freeze()
