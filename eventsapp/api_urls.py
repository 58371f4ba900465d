"""What programs call."""

from eventsapp import api, attribute_api, legacy_api, public_api, staff_api, tag_api, visitors_api
from eventsapp.transport import api_path

urlpatterns = [
    api_path("events", api.Events),
    api_path("events/batch", api.EventBatch),
    api_path("events/summaries", api.EventSummaries),
    api_path("contacts", api.Contacts),
    api_path("contacts/merge", api.MergeContacts),
    api_path("contacts/convert", visitors_api.ConvertLead),
    api_path("contacts/find_by_external_id/(?P<external_id>.+?)", api.ContactByExternalId),
    api_path("contacts/(?P<contact_id>[^/]+)", api.OneContact),
    api_path("contacts/(?P<contact_id>[^/]+)/export", api.ExportContact),
    api_path("contacts/(?P<contact_id>[^/]+)/archive", api.ArchiveContact),
    api_path("contacts/(?P<contact_id>[^/]+)/unarchive", api.UnarchiveContact),
    api_path("contacts/(?P<contact_id>[^/]+)/block", api.BlockContact),
    api_path("contacts/(?P<contact_id>[^/]+)/tags", tag_api.ContactTags),
    api_path("contacts/(?P<contact_id>[^/]+)/tags/(?P<tag_id>[^/]+)", tag_api.OneTagOfContact),
    api_path("contacts/(?P<contact_id>[^/]+)/(?P<what>[^/]+)", api.NotKeptOfContact),
    api_path("tags", tag_api.Tags),
    api_path("tags/(?P<tag_id>[^/]+)", tag_api.OneTag),
    api_path("data_attributes", attribute_api.DataAttributes),
    api_path("data_attributes/(?P<attribute_id>[^/]+)", attribute_api.OneDataAttribute),
    api_path("visitors", visitors_api.Visitors),
    api_path("visitors/convert", visitors_api.ConvertVisitor),
    api_path("me", staff_api.Me),
    api_path("admins", staff_api.Admins),
    api_path("users", legacy_api.Users),
    api_path("users/scroll", legacy_api.UserScroll),
    api_path("users/(?P<contact_id>[^/]+)", legacy_api.OneUser),
    api_path("bulk/events", legacy_api.BulkEvents),
    api_path("bulk/users", legacy_api.BulkUsers),
    api_path("jobs/(?P<job_id>[^/]+)", legacy_api.OneJob),
    api_path("jobs/(?P<job_id>[^/]+)/error", legacy_api.JobErrors),
    api_path("healthz", public_api.Healthz),
    api_path(r"openapi\.json", public_api.OpenApi),
]
