"""Reports as each mail provider documents them, signed as it signs them."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

DANA = "dana@example.com"
AT = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
EPOCH = int(AT.timestamp())
REFUSAL = "550 5.1.1 <dana@example.com>: Recipient address rejected: User unknown"
KEY = "key-of-the-tests"
SECRET = "portal:secret-of-the-tests"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
JSON = "application/json"


def public_text(key: Any) -> str:
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b64encode(public).decode()


@dataclass(frozen=True)
class Sent:
    """A request that a provider makes."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON


@dataclass(frozen=True)
class Provider:
    """``events``: what it calls each state that it can tell. ``report`` makes a request of one event."""

    events: dict[str, str]
    report: Callable[[str, str, str, bool], Sent]  # event, its id of the mail, our id of the mail, is forged
    anymail: dict[str, str] = field(default_factory=lambda: {"WEBHOOK_SECRET": SECRET})
    has_metadata: bool = True
    mail_key: str = "7c1d9f3e"  # its id of a mail


def basic(is_forged: bool) -> dict[str, str]:
    secret = "portal:guessed" if is_forged else SECRET
    return {"Authorization": "Basic " + b64encode(secret.encode()).decode()}


def hexdigest(text: bytes, is_forged: bool) -> str:
    return hmac.new(b"guessed" if is_forged else KEY.encode(), text, hashlib.sha256).hexdigest()


def amazon_ses(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    headers = [{"name": "X-Metadata", "value": json.dumps({"mail_id": mail_id})}]
    bounced = {"emailAddress": DANA, "status": "5.1.1", "diagnosticCode": f"smtp; {REFUSAL}"}
    told = {
        "eventType": event,
        "mail": {"messageId": message_id, "destination": [DANA], "headers": headers},
        "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [bounced]},
        "complaint": {"complainedRecipients": [{"emailAddress": DANA}], "complaintFeedbackType": "abuse"},
        "delivery": {"recipients": [DANA], "smtpResponse": "250 2.6.0 Message received"},
    }
    message = {"Type": "Notification", "MessageId": "9e2b", "TopicArn": "arn:aws:sns:eu-west-1:1:mail",
               "Message": json.dumps(told), "Timestamp": AT.isoformat()}  # fmt: skip
    sns = {"x-amz-sns-message-type": "Notification", "x-amz-sns-message-id": "9e2b"}
    return Sent(json.dumps(message).encode(), sns | basic(is_forged), "text/plain; charset=UTF-8")


def brevo(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    told = {"event": event, "email": DANA, "id": 26224, "date": "2026-01-01 13:05:00", "ts": EPOCH,
            "message-id": message_id, "ts_epoch": EPOCH * 1000, "subject": "Your code", "sending_ip": "192.0.2.7",
            "X-Mailin-custom": json.dumps({"mail_id": mail_id}), "reason": REFUSAL}  # fmt: skip
    return Sent(json.dumps(told).encode(), basic(is_forged))


def mailersend(event: str, message_id: str, _mail_id: str, is_forged: bool) -> Sent:
    morph = {"object": "recipient_bounce", "reason": REFUSAL} if "bounced" in event else None
    email = {"object": "email", "id": "62f1", "from": "no-reply@example.com", "status": "rejected", "tags": None,
             "message": {"object": "message", "id": message_id},
             "recipient": {"object": "recipient", "email": DANA}}  # fmt: skip
    data = {
        "object": "activity",
        "id": "62f2",
        "type": event,
        "created_at": AT.isoformat(),
        "email": email,
        "morph": morph,
    }
    body = json.dumps({"type": f"activity.{event}", "created_at": AT.isoformat(), "data": data}).encode()
    return Sent(body, {"Signature": hexdigest(body, is_forged)})


def mailgun(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    name, _colon, severity = event.partition(":")
    status = {"code": 550, "message": REFUSAL, "description": "", "attempt-no": 1}
    told = {"event": name, "timestamp": EPOCH + 0.5, "id": "Ase7i2zs", "recipient": DANA, "delivery-status": status,
            "message": {"headers": {"message-id": message_id.strip("<>"), "to": DANA}}, "tags": [],
            "user-variables": {"mail_id": mail_id}}  # fmt: skip
    told |= {"severity": severity, "reason": "bounce"} if severity else {}
    token = "b2f1"
    signed = {"token": token, "timestamp": str(EPOCH), "signature": hexdigest(f"{EPOCH}{token}".encode(), is_forged)}
    return Sent(json.dumps({"signature": signed, "event-data": told}).encode())


def mailjet(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    name, _colon, error = event.partition(":")
    told = {"event": name, "time": EPOCH, "MessageID": int(message_id), "email": DANA, "mj_campaign_id": 7,
            "Payload": json.dumps({"mail_id": mail_id}), "smtp_reply": REFUSAL if name == "bounce" else "250 OK",
            **({"error": error, "hard_bounce": error == "user unknown"} if error else {})}  # fmt: skip
    return Sent(json.dumps([told]).encode(), basic(is_forged))


def mailtrap(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    told = {"event": event, "message_id": message_id, "sending_stream": "transactional", "email": DANA,
            "timestamp": EPOCH, "event_id": "bede7236", "custom_variables": {"mail_id": mail_id},
            "response": REFUSAL, "response_code": 550}  # fmt: skip
    body = json.dumps({"events": [told]}).encode()
    return Sent(body, {"Mailtrap-Signature": hexdigest(body, is_forged)})


def mandrill(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    message = {
        "email": DANA,
        "_id": message_id,
        "metadata": {"mail_id": mail_id},
        "tags": [],
        "diag": f"smtp;{REFUSAL}",
    }
    events = json.dumps([{"event": event, "_id": message_id, "ts": EPOCH, "msg": message}])
    signed = f"http://testserver/hooks/mail/mandrill/mandrill_events{events}".encode()
    signature = hmac.new(b"guessed" if is_forged else KEY.encode(), signed, hashlib.sha1).digest()
    body = urlencode({"mandrill_events": events}).encode()
    return Sent(body, {"X-Mandrill-Signature": b64encode(signature).decode()}, "application/x-www-form-urlencoded")


def postal(event: str, message_id: str, _mail_id: str, is_forged: bool) -> Sent:
    message = {
        "id": int(message_id),
        "token": "abc",
        "direction": "outgoing",
        "message_id": "x@y",
        "to": DANA,
        "tag": None,
    }
    told: dict[str, object] = {"status": event, "details": "", "output": REFUSAL, "message": message}
    if event == "bounce":
        told = {"original_message": message, "bounce": {"id": 2, "direction": "incoming"}}
    body = json.dumps({"event": "MessageStatus", "timestamp": EPOCH, "uuid": "0fcc8098", "payload": told}).encode()
    signature = RSA_KEY.sign(b"guessed" if is_forged else body, padding.PKCS1v15(), hashes.SHA1())
    return Sent(body, {"X-Postal-Signature": b64encode(signature).decode()})


def postmark(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    record, _colon, kind = event.partition(":")
    told = {"RecordType": record, "MessageID": message_id, "Metadata": {"mail_id": mail_id}, "ServerID": 1,
            "MessageStream": "outbound", "Details": f"smtp;{REFUSAL}" if kind else "250 OK"}  # fmt: skip
    told |= {"Type": kind, "ID": 4323, "Email": DANA, "BouncedAt": AT.isoformat()} if kind else {}
    told |= {} if kind else {"Recipient": DANA, "DeliveredAt": AT.isoformat()}
    return Sent(json.dumps(told).encode(), basic(is_forged))


def resend(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    headers = [{"name": "X-Metadata", "value": json.dumps({"mail_id": mail_id})}]
    data: dict[str, object] = {"email_id": message_id, "to": [DANA], "subject": "Your code", "headers": headers}
    if event == "email.bounced":
        text = "The recipient's email provider sent a hard bounce message: the address does not exist."
        data["bounce"] = {"message": text}
    body = json.dumps({"type": event, "created_at": AT.isoformat(), "data": data}).encode()
    return Sent(body, basic(is_forged))


def sendgrid(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    told = {"event": event, "email": DANA, "timestamp": EPOCH, "smtp-id": "<x@y>", "sg_event_id": "ZG9t",
            "sg_message_id": "14c5d", "anymail_id": message_id, "mail_id": mail_id, "reason": REFUSAL,
            "status": "5.1.1", "type": "bounce"}  # fmt: skip
    body = json.dumps([told]).encode()
    signature = EC_KEY.sign(b"guessed" if is_forged else str(EPOCH).encode() + body, ec.ECDSA(hashes.SHA256()))
    return Sent(
        body,
        {
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": str(EPOCH),
        },
    )


def sparkpost(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    told = {"type": event, "timestamp": str(EPOCH), "transmission_id": message_id, "event_id": "92356927",
            "raw_rcpt_to": DANA, "rcpt_meta": {"mail_id": mail_id}, "campaign_id": None}  # fmt: skip
    told |= {"bounce_class": "10", "raw_reason": REFUSAL} if event == "bounce" else {}
    return Sent(json.dumps([{"msys": {"message_event": told}}, {"msys": {}}]).encode(), basic(is_forged))


def unisender_go(event: str, message_id: str, mail_id: str, is_forged: bool) -> Sent:
    info = {"delivery_status": "err_user_unknown", "destination_response": REFUSAL} if "bounced" in event else {}
    told = {"job_id": message_id, "metadata": {"mail_id": mail_id}, "email": DANA, "status": event,
            "event_time": AT.strftime("%Y-%m-%d %H:%M:%S"), "delivery_info": info}  # fmt: skip
    events = [{"event_name": "transactional_email_status", "event_data": told}]
    report = {"auth": KEY, "events_by_user": [{"user_id": 1, "project_id": "1", "events": events}]}
    body = json.dumps(report).encode()
    auth = hashlib.md5(b"guessed" if is_forged else body).hexdigest()
    return Sent(body.replace(KEY.encode(), auth.encode()))


PROVIDERS = {
    "amazon_ses": Provider(
        {"accepted": "Send", "delivered": "Delivery", "bounced": "Bounce", "complained": "Complaint"}, amazon_ses
    ),
    "brevo": Provider(
        {"accepted": "request", "delivered": "delivered", "deferred": "deferred", "bounced": "hard_bounce",
         "complained": "spam", "failed": "error"}, brevo, mail_key="<202601011205.1234@smtp-relay.mailin.fr>",
    ),
    "mailersend": Provider(
        {"accepted": "sent", "delivered": "delivered", "bounced": "hard_bounced", "complained": "spam_complaint"},
        mailersend, {"MAILERSEND_SIGNING_SECRET": KEY}, has_metadata=False,
    ),
    "mailgun": Provider(
        {"delivered": "delivered", "deferred": "failed:temporary", "bounced": "failed:permanent",
         "complained": "complained"}, mailgun, {"MAILGUN_WEBHOOK_SIGNING_KEY": KEY},
        mail_key="<20260101.1.ABC@mg.example.com>",
    ),
    "mailjet": Provider(
        {"delivered": "sent", "deferred": "bounce:greylisted", "bounced": "bounce:user unknown", "complained": "spam"},
        mailjet, mail_key="1152921504606846976",
    ),
    "mailtrap": Provider(
        {"delivered": "delivery", "deferred": "soft bounce", "bounced": "bounce", "complained": "spam",
         "failed": "reject"}, mailtrap, {"MAILTRAP_TRACKING_SECRET": KEY},
    ),
    "mandrill": Provider(
        {"accepted": "send", "deferred": "deferral", "bounced": "hard_bounce", "complained": "spam",
         "failed": "reject"}, mandrill, {"MANDRILL_WEBHOOK_KEY": KEY},
    ),
    "postal": Provider(
        {"accepted": "Held", "delivered": "Sent", "deferred": "SoftFail", "bounced": "bounce", "failed": "HardFail"},
        postal, {"POSTAL_WEBHOOK_KEY": public_text(RSA_KEY)}, has_metadata=False, mail_key="4711",
    ),
    "postmark": Provider(
        {"delivered": "Delivery", "deferred": "Bounce:Transient", "bounced": "Bounce:HardBounce",
         "complained": "SpamComplaint:SpamComplaint", "failed": "Bounce:SMTPApiError"}, postmark,
    ),
    "resend": Provider(
        {"accepted": "email.sent", "delivered": "email.delivered", "deferred": "email.delivery_delayed",
         "bounced": "email.bounced", "complained": "email.complained"}, resend,
    ),
    "sendgrid": Provider(
        {"accepted": "processed", "delivered": "delivered", "deferred": "deferred", "bounced": "bounce",
         "complained": "spamreport", "failed": "dropped"}, sendgrid,
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public_text(EC_KEY)},
    ),
    "sparkpost": Provider(
        {"accepted": "injection", "delivered": "delivery", "deferred": "delay", "bounced": "bounce",
         "complained": "spam_complaint", "failed": "generation_failure"}, sparkpost, mail_key="65832150921904138",
    ),
    "unisender_go": Provider(
        {"accepted": "sent", "delivered": "delivered", "deferred": "soft_bounced", "bounced": "hard_bounced",
         "complained": "spam"}, unisender_go, {"UNISENDER_GO_API_KEY": KEY},
    ),
}  # fmt: skip
