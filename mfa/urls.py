from django.urls import path, register_converter

from mfa import views
from mfa.converters import ModeConverter

register_converter(ModeConverter, "mode")

app_name = "mfa"
urlpatterns = [
    path("account/login/otp", views.otp_prompt, name="otp_prompt"),
    path("account/login/otp/resend", views.resend, name="resend"),
    path("account/login/otp/switch", views.switch, name="switch"),
    path("account/login/otp/cancel", views.cancel_sign_in, name="cancel_sign_in"),
    path("account/confirm", views.step_up, name="step_up"),
    path("account/confirm/send", views.step_up_send, name="step_up_send"),
    path("account/confirm/switch", views.step_up_switch, name="step_up_switch"),
    path("account/mfa/activate", views.activate, name="activate"),
    path("account/mfa/activate/complete", views.complete_activation, name="complete_activation"),
    path("account/mfa/activate/confirm-email", views.confirm_mailbox, name="confirm_mailbox"),
    path("account/mfa/activate/confirm-email/resend", views.confirm_mailbox_resend, name="confirm_mailbox_resend"),
    path("account/mfa/activate/resend", views.resend_enrolment, name="resend_enrolment"),
    path("account/mfa/recovery-codes", views.recovery_codes, name="recovery_codes"),
    path("account/mfa/recovery-codes/confirm", views.confirm_recovery_codes, name="confirm_recovery_codes"),
    path("account/mfa/reset", views.confirm_reset, name="confirm_reset"),
    path("account/mfa/remembered/<uuid:browser_id>/forget", views.forget_browser, name="forget_browser"),
    path("account/mfa/<mode:mode>/enable", views.enable, name="enable"),
    path("account/mfa/<mode:mode>/disable", views.disable, name="disable"),
    path("account/mfa/<mode:mode>/prefer", views.prefer, name="prefer"),
]
