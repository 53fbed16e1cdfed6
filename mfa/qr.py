"""The QR code of an enrolment."""

import qrcode
from django.utils.safestring import mark_safe
from qrcode.image.svg import SvgPathImage


def svg(uri: str) -> str:
    """Return ``uri`` as a QR code in an inline SVG element, which no cache or log can hold (SR-20)."""
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4, image_factory=SvgPathImage)
    code.add_data(uri)
    drawing: str = code.make_image().to_string(encoding="unicode")
    return mark_safe(drawing)  # noqa: S308  (modules of a QR code: the library's own numbers, no text of ours)
