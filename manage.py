#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smartauth.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")
    except OperationalError as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        sys.exit(f"The database does not answer (in the sandbox, start it with `make run`): {why}")


if __name__ == "__main__":
    main()
