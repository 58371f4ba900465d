"""What is there already when something is measured: made by SQL, as no app would, because it takes seconds so."""

from django.db import connection

from eventsapp import summaries, volumes
from eventsapp.models import EventType, Workspace


def fill(workspace: Workspace, *, people: int, events: int, types: int = 20):
    """Put `people` (user_id person-0 …) and `events` of `types` (type-0 …) over the last year into PostgreSQL.

    Types are skewed: each is about two thirds as frequent as the one before it. Each event has three metadata keys.
    """
    EventType.objects.bulk_create(EventType(workspace=workspace, name=f"type-{n}") for n in range(types))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(
            """
            INSERT INTO eventsapp_contact (workspace_id, role, external_id, external_id_folded, email, email_folded,
                custom_attributes, created_at, updated_at, unsubscribed_from_emails)
            SELECT %s, 'user', 'person-' || n, 'person-' || n, 'person-' || n || '@example.org',
                'person-' || n || '@example.org', '{}', extract(epoch FROM now()), extract(epoch FROM now()), false
            FROM generate_series(0, %s - 1) AS n
            """,
            [workspace.pk, people],
        )
        cursor.execute(
            """
            INSERT INTO eventsapp_event (contact_id, created_at, type_id, fingerprint, metadata, source, received_at)
            SELECT first_contact + floor(random() * %(people)s),
                extract(epoch FROM now())::bigint - floor(random() * 365 * 86400)::bigint,
                first_type + least(floor(-ln(1 - random()) * 2.5), %(types)s - 1), n,
                jsonb_build_object('order', 'o-' || n, 'price', floor(random() * 500),
                    'plan', (array['free', 'pro', 'team'])[1 + floor(random() * 3)]),
                'api', now() - interval '1 hour'
            FROM generate_series(1, %(events)s) AS n,
                (SELECT min(id) AS first_contact FROM eventsapp_contact WHERE workspace_id = %(workspace)s) AS c,
                (SELECT min(id) AS first_type FROM eventsapp_eventtype WHERE workspace_id = %(workspace)s) AS t
            """,
            {"people": people, "types": types, "events": events, "workspace": workspace.pk},
        )
    summaries.repair()
    volumes.roll_up()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
