"""Bulk export of the small server: kick-off, status, files, cancel."""
