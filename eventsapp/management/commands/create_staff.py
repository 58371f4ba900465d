"""`manage.py create_staff EMAIL`"""

import secrets

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from eventsapp.management.arguments import add_workspace, chosen_workspace
from eventsapp.models import Membership, Role


class Command(BaseCommand):
    help = "Make somebody a member of a workspace; prints the password of a new account alone."

    def add_arguments(self, parser):
        parser.add_argument("email")
        parser.add_argument("--role", choices=Role.values, default=Role.ADMIN)
        parser.add_argument("--superuser", action="store_true", help="May also use /admin/.")
        add_workspace(parser)

    def handle(self, *, email, role, superuser, workspace, **options):
        if "@" not in email:
            raise CommandError(f"“{email}” is not an email address.")
        email = email.lower()
        user, made = get_user_model().objects.get_or_create(username=email, defaults={"email": email})
        if superuser:
            user.is_staff = user.is_superuser = True
        if made:
            password = secrets.token_urlsafe(12)
            user.set_password(password)
            self.stdout.write(password)
        user.save()
        Membership.objects.update_or_create(user=user, workspace=chosen_workspace(workspace), defaults={"role": role})
        if not made:
            self.stderr.write(f"{email} had an account, and is now {role} with the password as it was.")
