"""What the sign-in pages say of something entered wrong: what to do next, too, where allauth says only that it is."""

from django.utils.translation import gettext_lazy as _

INCORRECT_CODE = _("That code does not work. Enter the one that is shown now: it changes every half minute.")

OF_ACCOUNTS = {
    "username_password_mismatch": _(
        "This user name and password do not go together. Look at capital letters, and try again. "
        "If you have forgotten the password, ask your hospital for a new one."
    ),
    "enter_current_password": _("That is not your current password. Enter the one you signed in with."),
    "incorrect_password": _("That is not your password. Look at capital letters, and try again."),
    "too_many_login_attempts": _("Too many failed login attempts. Wait a few minutes, and try again."),
    "incorrect_code": INCORRECT_CODE,
}
OF_SECOND_FACTORS = {"incorrect_code": INCORRECT_CODE}
