"""How people sign in: at an identity provider, with passkeys and second factors."""
