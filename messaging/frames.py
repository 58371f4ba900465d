"""Messages as their readers would see them: pages for frames in which nothing runs."""

import json

from django.http import HttpResponse
from django.utils.html import format_html

from messaging import text
from messaging.models import AutoMessage, Delivery

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-ancestors 'self'; sandbox"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:16px;color:#1a1a1a;background:#fff;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;font-size:13px}"
)


def framed(body: str) -> HttpResponse:
    """A page for a sandboxed frame: no script runs in it, whatever stands there."""
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>Message</title><style>{STYLE}</style>{body}"
    return HttpResponse(page, headers={"Content-Security-Policy": POLICY})


def shown(delivery: Delivery, channel: str, *, as_text: bool = False) -> str:
    """What a channel wrote, as HTML; `as_text` for those who read text alone."""
    if channel == AutoMessage.Channel.WEBHOOK:
        return format_html("<pre>{}</pre>", _indented(delivery.body))
    return format_html("<pre>{}</pre>", text.plain(delivery.body)) if as_text else delivery.body


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
