"""The provider of text messages, as the settings say."""

from activities.sms import SmsAccount, SmsSender
from settings import Settings, SettingsError, variable_of

FIELDS = ("sms_key_id", "sms_key_secret", "sms_sign_name", "sms_template_code")


def texts_of(settings: Settings) -> SmsSender | None:
    """Sends text messages; None without an account. Raises SettingsError for an account that is only half given."""
    missing = [variable_of(name) for name in FIELDS if not getattr(settings, name)]
    if len(missing) == len(FIELDS):
        return None
    secret = settings.sms_key_secret
    if missing or secret is None:
        raise SettingsError(f"Text messages lack {', '.join(missing)}. See docs/runbooks/mail.md, or unset the others.")
    return SmsSender(
        SmsAccount(
            url=settings.sms_url,
            key_id=settings.sms_key_id or "",
            key_secret=secret.get_secret_value(),
            sign_name=settings.sms_sign_name or "",
            template_code=settings.sms_template_code or "",
        )
    )
