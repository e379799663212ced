"""The application a WSGI server loads, once per worker process."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smartauth.settings")
application = get_wsgi_application()

from smartauth.marks.poller import poller  # noqa: E402 - models exist only after the set-up above

poller.serve()
