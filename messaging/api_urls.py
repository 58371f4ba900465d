"""What programs ask of messages."""

from eventsapp.transport import api_path
from messaging import api, in_app, single_api, subscription_api

RULE = "auto_messages/(?P<message_id>[0-9]{1,9})"
DELIVERY = f"{RULE}/deliveries/(?P<delivery_id>[0-9]{{1,9}})"

urlpatterns = [
    api_path("auto_messages", api.AutoMessages),
    api_path(RULE, api.OneAutoMessage),
    api_path(f"{RULE}/deliveries", api.Deliveries),
    api_path(f"{DELIVERY}/replay", api.Replay),
    api_path(f"{DELIVERY}/cancel", api.Cancel),
    api_path("messages", single_api.Messages),
    api_path("messages/(?P<message_id>[0-9]{1,9})", single_api.OneMessage),
    *subscription_api.urlpatterns,
    *in_app.urlpatterns,
]
