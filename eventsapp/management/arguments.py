"""What several commands take."""

from django.core.management.base import CommandError

from eventsapp.models import Workspace


def add_workspace(parser):
    parser.add_argument("--workspace", metavar="APP_ID", help="Its app_id; without it the first workspace is meant.")


def chosen_workspace(app_id: str | None) -> Workspace:
    """Return the workspace with this app_id, or the first one. Raises CommandError."""
    found = Workspace.objects.order_by("pk") if app_id is None else Workspace.objects.filter(app_id=app_id)
    if workspace := found.first():
        return workspace
    if app_id:
        known = ", ".join(Workspace.objects.values_list("app_id", flat=True)) or "none yet"
        raise CommandError(f"There is no workspace {app_id}. There are: {known}.")
    raise CommandError("There is no workspace yet. Make one: manage.py create_workspace NAME")
