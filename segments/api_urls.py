"""What programs ask of segments."""

from eventsapp.legacy_api import narrowed_by
from eventsapp.transport import api_path
from segments import api

narrowed_by["segment_id"] = api.in_segment

urlpatterns = [
    api_path("contacts/search", api.ContactSearch),
    api_path("contacts/(?P<contact_id>[^/]+)/segments", api.ContactSegments),
    api_path("segments", api.Segments),
    api_path("segments/preview", api.Preview),
    api_path(r"segments/schema\.json", api.DefinitionSchema),
    api_path("segments/(?P<segment_id>[0-9]{1,9})", api.OneSegment),
    api_path("segments/(?P<segment_id>[0-9]{1,9})/contacts", api.SegmentContacts),
    api_path("segments/(?P<segment_id>[0-9]{1,9})/explain", api.Explanation),
]
