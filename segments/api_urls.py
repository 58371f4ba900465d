"""What programs ask of segments."""

from eventsapp.transport import api_path
from segments import api

urlpatterns = [
    api_path("contacts/search", api.ContactSearch),
    api_path("segments/preview", api.Preview),
]
