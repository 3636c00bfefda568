"""The password of the settings: whether somebody knows it, and whether it is still the one that they came in by."""

from __future__ import annotations

import hmac

from fastapi import Request

__all__ = ["password_mark", "right_password"]


def right_password(request: Request, given: str) -> bool:
    """Whether it is the password of the settings; never where they have none."""
    wanted = request.app.state.settings.password.get_secret_value()
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def password_mark(request: Request) -> str:
    """What a session that came by the password carries: another password has another mark, no password none."""
    wanted = request.app.state.settings.password.get_secret_value()
    secret = request.app.state.secret
    return hmac.new(f"password {secret}".encode(), wanted.encode(), "sha256").hexdigest() if wanted else ""
