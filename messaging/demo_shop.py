"""`/demo-shop/`: a shop with our library in its page, for whoever tries the product.

Only where `make run` has made the demo data.
"""

import json
import secrets

from django.conf import settings
from django.core.signing import BadSignature
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from eventsapp.identity import user_hash
from eventsapp.models import ApiToken, Workspace, digest_of
from messaging import demo

GOODS = (("lamp", 4900), ("notebook", 1900), ("chair", 12900), ("mug", 1200))
SHOPPER = "demo_shopper"  # the cookie


@never_cache
@require_safe
def demo_shop(request):
    """The shop's only page. Its visitor is logged in as a shopper of their own, and the page proves it."""
    workspace = demo_workspace()
    try:
        shopper = request.get_signed_cookie(SHOPPER)
    except (KeyError, BadSignature):
        shopper = f"shopper-{secrets.token_hex(3)}"
    secret = workspace.identity_secrets.values_list("secret", flat=True).first()
    said = {
        "app_id": workspace.app_id,
        "user_id": shopper,
        "name": "You, in the demo shop",
        "user_hash": user_hash(secret, shopper),
    }
    segment = workspace.segments.filter(name=demo.FILLED_A_CART).first()
    rule = workspace.auto_messages.filter(name=demo.CART_RULE).first()
    context = {"shop": workspace, "goods": GOODS, "said": said, "segment": segment, "rule": rule}
    response = render(request, "demo/shop.html", context)
    response.set_signed_cookie(SHOPPER, shopper, max_age=7 * 24 * 3600, httponly=True, samesite="Lax")
    return response


def demo_workspace() -> Workspace:
    """The workspace that `make run` made. Raises Http404 where there is none."""
    try:
        kept = json.loads((settings.VAR / "credentials.json").read_text())
    except (OSError, ValueError):
        raise Http404 from None
    token = ApiToken.objects.usable().select_related("workspace").filter(digest=digest_of(kept["token"])).first()
    if token is None or not token.workspace.identity_secrets.exists():
        raise Http404
    return token.workspace
