from typing import Any

from access.sign_ins import sign_out_everywhere


class SignOutOnPasswordChange:
    """A password validator that accepts every password, and signs out a user whose password has changed.

    Django calls `password_changed` of each of AUTH_PASSWORD_VALIDATORS after it has saved a new password, wherever that
    was set: in the admin, by a command or by a script.
    """

    def validate(self, password: str, user: Any = None) -> None:
        pass

    def get_help_text(self) -> str:
        return "A new password ends all sign-ins on other devices."

    def password_changed(self, password: str, user: Any) -> None:
        sign_out_everywhere([user])
