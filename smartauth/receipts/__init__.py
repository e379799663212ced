"""Receipts: why a request was refused, under its trace id, for those entitled to know."""
