"""How messages leave the house. A channel is one module with three functions:

`reason_not_to(delivery)` returns why the person can't get it (a Delivery.Reason), or None;
`write(delivery)` fills in what is sent, as `subject` and `body` (raises TextError);
`send(delivery)` hands it over, and raises TryAgainLater or RefusedForGood with the far end's words.
"""

from types import ModuleType

from messaging.channels import email, in_app, webhook

CHANNELS: dict[str, ModuleType] = {"email": email, "webhook": webhook, "in_app": in_app}
