"""The Django project and the authorization server: what was granted to whom."""
