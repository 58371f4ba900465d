"""What programs ask of messages."""

from eventsapp.transport import api_path
from messaging import api

urlpatterns = [api_path("auto_messages/(?P<message_id>[0-9]{1,9})/deliveries", api.Deliveries)]
