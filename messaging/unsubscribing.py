"""The way out of mails: a link in each of them, to a page that needs no login.

What a link names is signed, and it is all that the page goes by. A mail as staff see it has `example()` in its place.
"""

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from eventsapp.models import Contact
from eventsapp.people import change_contact

signer = Signer(salt="messaging.unsubscribing")


def link_for(contact: Contact) -> str:
    """Where this person ends all mails but those for transactions."""
    return _url(signer.sign(contact.pk))


def example() -> str:
    """An address of the same kind that is nobody's: what is kept of a mail must not unsubscribe its reader."""
    return _url("example")


def _url(token: str) -> str:
    return settings.BASE_URL + reverse("unsubscribe", args=[token])


def _whose(token: str) -> Contact | None:
    try:
        pk = signer.unsign(token)
    except BadSignature:
        return None
    contact = Contact.objects.select_related("workspace", "merged_into__workspace").filter(pk=pk).first()
    heir = contact and (contact.merged_into or contact)
    return None if heir is None or heir.deleted_at else heir


def masked(email: str | None) -> str:
    """Enough of an address for whoever has it to know it: a link may be passed on."""
    name, _, domain = (email or "").rpartition("@")
    return f"{name[:1]}•••@{domain}" if name else "Your address"


# Mail programs post here without cookies (RFC 8058). That is safe: no cookie counts here, so another site that has a
# browser post to a link can do no more than it could by itself, and it would have to know the link.
@never_cache
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request, token):
    """Ask; on POST, by the button or by a mail program, end the mails. Twice is as good as once."""
    return _page(request, token, unsubscribed=True if request.method == "POST" else None)


@never_cache
@require_POST
def subscribe_again(request, token):
    """Take it back."""
    return _page(request, token, unsubscribed=False)


def _page(request, token, *, unsubscribed: bool | None):
    contact = _whose(token)
    if contact is None:
        return render(request, "messaging/unsubscribe_gone.html", status=404)
    if unsubscribed is not None and contact.unsubscribed_from_emails != unsubscribed:
        contact = change_contact(contact, {"unsubscribed_from_emails": unsubscribed})
    context = {
        "workspace": contact.workspace,
        "email": masked(contact.email),
        "is_unsubscribed": contact.unsubscribed_from_emails,
        "is_back": unsubscribed is False,
        "token": token,
    }
    return render(request, "messaging/unsubscribe.html", context)
