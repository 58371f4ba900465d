from django.contrib import admin

from messaging.models import AutoMessage, Delivery


@admin.register(AutoMessage)
class AutoMessageAdmin(admin.ModelAdmin):
    """To look at: going live and pausing need the page."""

    list_display = ("name", "workspace", "trigger", "state", "live_since")
    readonly_fields = ("trigger",)


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):
    list_display = ("uuid", "message", "state", "reason", "created_at", "sent_at")
    list_filter = ("state", "reason")
    raw_id_fields = ("contact", "message")
    show_full_result_count = False
