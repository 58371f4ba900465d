"""Whose token it is, and who works here: what SDKs ask to see whether they are let in."""

from rest_framework.response import Response

from eventsapp import shapes
from eventsapp.models import Membership, Role, Scope, Workspace
from eventsapp.openapi import operation
from eventsapp.transport import ApiView


class Me(ApiView):
    """`GET /me`."""

    scopes = {"GET": Scope.READ}

    @operation("get_me", "Workspace", answers={200: ("The workspace, and its first admin.", shapes.ME)})
    def get(self, request):
        """Ask which workspace the token is of.

        A token is nobody's own: the admin is the first of the workspace.
        """
        workspace = self.workspace
        admin = workspace.memberships.filter(role=Role.ADMIN).select_related("user").order_by("pk").first()
        told = admin_as_json(admin) if admin else _nobody(workspace)
        return Response(
            told
            | {
                "email_verified": True,
                "avatar": {"type": "avatar", "image_url": None},
                "app": {
                    "type": "app",
                    "id_code": workspace.app_id,
                    "name": workspace.name,
                    "created_at": int(workspace.created_at.timestamp()),
                    "secure": workspace.enforces_identity,
                    "identity_verification": workspace.enforces_identity,
                    "timezone": workspace.time_zone,
                    "region": "",
                },
            }
        )


class Admins(ApiView):
    """`GET /admins`."""

    scopes = {"GET": Scope.READ}

    @operation("list_admins", "Workspace", answers={200: ("The colleagues.", shapes.ADMIN_LIST)})
    def get(self, request):
        """List the colleagues of the workspace, whatever their role."""
        colleagues = self.workspace.memberships.select_related("user").order_by("pk")
        more = {"away_mode_enabled": False, "away_mode_reassign": False, "team_ids": []}
        return Response({"type": "admin.list", "admins": [admin_as_json(one) | more for one in colleagues]})


def admin_as_json(colleague: Membership) -> dict:
    """A colleague, as Intercom shows an admin."""
    user = colleague.user
    return {
        "type": "admin",
        "id": str(user.pk),
        "email": user.email,
        "name": user.get_full_name() or user.email,
        "has_inbox_seat": True,
    }


def _nobody(workspace: Workspace) -> dict:
    return {"type": "admin", "id": "0", "email": "", "name": workspace.name, "has_inbox_seat": False}
