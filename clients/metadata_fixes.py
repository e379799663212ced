"""What mends a member of client metadata, where the rule that refused it says nothing more exact. Pure."""

_PAGE = "Give a complete https URL, such as https://app.example.org/about."
_REDIRECT = (
    "Give the complete https URL your app listens at. An app on a device may use http on loopback, or a scheme like "
    "org.example.app:/callback."
)
_TEXT = "Shorten it, or type it again in plain characters."
_CHOICE = "Choose one of those, or leave it out."
FIXES = {
    **dict.fromkeys(("client_uri", "logo_uri", "tos_uri", "policy_uri", "launch_urls"), _PAGE),
    **dict.fromkeys(("redirect_uris", "post_logout_redirect_uris"), _REDIRECT),
    **dict.fromkeys(("client_name", "publisher", "purpose", "intended_users"), _TEXT),
    **dict.fromkeys(("funding", "data_sharing", "data_deletion", "software_id", "software_version"), _TEXT),
    **dict.fromkeys(("application_type", "smart_version", "id_token_signed_response_alg"), _CHOICE),
    **dict.fromkeys(("token_endpoint_auth_method", "grant_types"), _CHOICE),
    "allowed_origins": "Write it as browsers do: https://app.example.org.",
    "jwks_uri": "Give the https URL of your key set, or give the public keys themselves in jwks.",
    "jwks": "Give a JWK Set with the public part of each key.",
    "token_endpoint_auth_signing_alg": "Leave it out, or authenticate with private_key_jwt and choose one of those.",
    "response_types": 'Send ["code"] with authorization_code, and [] without it.',
    "require_pushed_authorization_requests": "Leave it out.",
    "require_dpop_nonce": "Ask for dpop_bound_access_tokens as well, or leave it out.",
}
