from django.urls import path, register_converter

from accounts.web.access import all_work_while_blocked
from mfa.web.converters import ModeConverter
from mfa.web.views import (
    activation,
    assisted_reset,
    changing_modes,
    cli_code,
    otp_prompt,
    passkeys,
    recovery_codes,
    remembered_browsers,
    step_up,
)

register_converter(ModeConverter, "mode")

app_name = "mfa"
urlpatterns = all_work_while_blocked(
    [
        path("account/login/otp", otp_prompt.otp_prompt, name="otp_prompt"),
        path("account/login/otp/resend", otp_prompt.resend, name="resend"),
        path("account/login/otp/switch", otp_prompt.switch, name="switch"),
        path("account/login/otp/cancel", otp_prompt.cancel, name="cancel_sign_in"),
        path("account/login/passkey", passkeys.sign_in, name="sign_in_by_passkey"),
        path("account/confirm", step_up.prove, name="step_up"),
        path("account/confirm/send", step_up.send, name="step_up_send"),
        path("account/confirm/switch", step_up.switch, name="step_up_switch"),
        path("account/mfa/activate", activation.activate, name="activate"),
        path("account/mfa/activate/complete", activation.complete, name="complete_activation"),
        path("account/mfa/activate/confirm-email", activation.confirm_mailbox, name="confirm_mailbox"),
        path(
            "account/mfa/activate/confirm-email/resend",
            activation.resend_mailbox_code,
            name="confirm_mailbox_resend",
        ),
        path("account/mfa/activate/resend", activation.resend, name="resend_enrolment"),
        path("account/mfa/<mode:mode>/try", step_up.practise, name="practise"),
        path("account/mfa/recovery-codes", recovery_codes.make, name="recovery_codes"),
        path("account/mfa/recovery-codes/confirm", recovery_codes.confirm, name="confirm_recovery_codes"),
        path("account/mfa/reset", assisted_reset.confirm_reset, name="confirm_reset"),
        path("account/mfa/remembered/<uuid:browser_id>/forget", remembered_browsers.forget, name="forget_browser"),
        path("account/cli-code", cli_code.waiting, name="cli_code"),
        path("account/cli-code/<uuid:challenge_id>", cli_code.show, name="show_cli_code"),
        path("account/cli-code/<uuid:challenge_id>/end", cli_code.end, name="end_cli_sign_in"),
        path("account/mfa/passkeys", passkeys.own, name="passkeys"),
        path("account/mfa/passkeys/offer", passkeys.offer, name="offer_passkey"),
        path("account/mfa/passkeys/add", passkeys.add, name="add_passkey"),
        path("account/mfa/passkeys/<uuid:passkey_id>/rename", passkeys.rename, name="rename_passkey"),
        path("account/mfa/passkeys/<uuid:passkey_id>/remove", passkeys.remove, name="remove_passkey"),
        path("account/mfa/<mode:mode>/enable", changing_modes.enable, name="enable"),
        path("account/mfa/<mode:mode>/disable", changing_modes.disable, name="disable"),
        path("account/mfa/<mode:mode>/prefer", changing_modes.prefer, name="prefer"),
    ]
)
