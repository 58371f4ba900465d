"""What became of a mail: its links lead through us, and so does a picture of one dot.

`Delivery.body` stays as it was written, so that staff who look at it are not taken for its reader.
"""

import re
from base64 import b64decode
from html import escape, unescape

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from messaging import unsubscribing
from messaging.models import Delivery

DOT = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
LINK = re.compile(r'(<a\b[^>]*?\shref=")(https?://[^"]+)"', re.IGNORECASE)  # as nh3 writes it
# Signed, so that our address leads nowhere that we did not write.
signer = Signer(salt="messaging.tracking")


def tracked(html: str, delivery: Delivery) -> str:
    """Return the clean HTML of a mail with links and a picture that tell us of its reader."""
    if not settings.EMAIL_TRACKING:
        return html

    def led(found):
        if unescape(found[2]) == unsubscribing.example():
            # Whoever leaves is not taken for a reader.
            return found[0]
        token = signer.sign_object([str(delivery.uuid), unescape(found[2])])
        return f'{found[1]}{escape(_url("clicked", token))}"'

    dot = escape(_url("opened", signer.sign(str(delivery.uuid))))
    return f'{LINK.sub(led, html)}<img src="{dot}" width="1" height="1" alt="">'


def _url(name: str, token: str) -> str:
    return settings.BASE_URL + reverse(name, args=[token])


@never_cache
@require_safe
def opened(request, token):
    """The picture of one dot."""
    try:
        uuid = signer.unsign(token)
    except BadSignature:
        raise Http404 from None
    if request.method == "GET":
        Delivery.objects.filter(uuid=uuid, opened_at=None).update(opened_at=timezone.now())
    return HttpResponse(DOT, content_type="image/gif")


@never_cache
@require_safe
def clicked(request, token):
    """On to where the link leads. Whoever clicked has opened the mail, whether or not it showed pictures."""
    try:
        uuid, url = signer.unsign_object(token)
    except BadSignature:
        raise Http404 from None
    if request.method == "GET":
        now = timezone.now()
        unknown = Delivery.objects.filter(uuid=uuid, clicked_at=None)
        unknown.update(clicked_at=now, opened_at=Coalesce("opened_at", now))
    return HttpResponseRedirect(url)
