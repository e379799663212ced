"""The administration: Django's, behind a second factor, in roles."""
