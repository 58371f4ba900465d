"""Repair work for superusers; everybody else has the pages."""

from django.contrib import admin

from eventsapp.models import ApiToken, Contact, EventType, Invitation, Membership, Workspace

admin.site.site_header = "Eventsapp administration"


@admin.register(Workspace)
class WorkspaceAdmin(admin.ModelAdmin):
    list_display = ("name", "app_id", "time_zone", "unknown_people", "created_at")


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ("user", "workspace", "role", "last_used_at")
    list_filter = ("role",)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens are made on the settings page: here nobody could be shown the secret."""

    list_display = ("name", "workspace", "scope", "hint", "created_at", "revoked_at")

    def has_add_permission(self, request):
        return False


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):
    list_display = ("workspace", "role", "invited_by", "created_at")

    def has_add_permission(self, request):
        return False


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):
    list_display = ("external_id", "email", "name", "role", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("external_id", "email_folded")
    raw_id_fields = ("workspace",)
    show_full_result_count = False

    def save_model(self, request, contact, form, change):
        # Whoever was merged into another is found by nobody.
        if contact.merged_into_id is None:
            contact.fold_texts()
        super().save_model(request, contact, form, change)


@admin.register(EventType)
class EventTypeAdmin(admin.ModelAdmin):
    list_display = ("name", "workspace", "watched", "description", "archived_at")
    readonly_fields = ("watched",)
