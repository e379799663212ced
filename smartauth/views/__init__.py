"""The endpoints: read the request, call by name, return data."""
