"""Demo data, made through the real doors, and the login of a first `make run`."""

import json
import os
import random
import secrets
import time

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from eventsapp import attributes
from eventsapp.config.embedded import private_folder
from eventsapp.incoming import read_event
from eventsapp.ingest import event_type, ingest
from eventsapp.models import ApiToken, Contact, EventType, Membership, Role, Source, Workspace, digest_of
from messaging import rules
from messaging.models import AutoMessage
from segments.definition import all_of
from segments.models import Segment

EMAIL = "demo@example.com"
FILLED_A_CART, CART_RULE = "Filled a cart", "A word about your cart"
PEOPLE, EVENTS, SEED = 600, 9_000, 7
DAY = 24 * 3600
BATCH = 2_000

FIRST = """
    Aiko Amara Anton Beatriz Bilal Carmen Chidi Daria Dmitri Elif Emeka Farah Femi Greta Hana Hugo Ines Ivan Jamal
    Jana Kofi Lale Leon Lina Mateo Mei Mina Nadia Nils Noor Omar Pia Priya Rosa Samir Sara Sofia Tariq Tomas Yuki
    Zoe Åsa
""".split()
LAST = """
    Abe Adeyemi Alvarez Bauer Costa Diallo Eriksson Farouk Fischer Garcia Haddad Ito Jansen Kaya Kim Kowalski
    Larsen Lopez Mbeki Meyer Moreau Novak Okafor Park Patel Petrov Rossi Sato Silva Singh Tanaka Weber Yilmaz
    Zhang Öberg
""".split()
PLANS, PLAN_WEIGHTS = ("free", "starter", "pro", "team"), (50, 25, 18, 7)
COUNTRIES = ["BR", "CA", "DE", "ES", "FR", "GB", "IN", "IT", "JP", "KE", "NG", "PL", "SE", "TR", "US"]
ITEMS = ("notebook", "pen", "lamp", "desk", "chair", "mug")
TEMPLATES, ROLES = ("blank", "roadmap", "sprint"), ("viewer", "editor")
REASONS = ("Too expensive", "Missing feature", "Only trying")
# What people do, how often beside each other, and with which metadata.
KINDS = {
    "opened-app": (50, lambda dice: {"device": dice.choice(("desktop", "phone", "tablet"))}),
    "viewed-pricing": (12, lambda dice: {}),
    "created-project": (9, lambda dice: {"template": dice.choice(TEMPLATES), "public": dice.random() < 0.3}),
    "placed-order": (14, lambda dice: _order(dice)),
    "invited-friend": (8, lambda dice: {"invite_code": f"INV{dice.randrange(10**5):05}", "as": dice.choice(ROLES)}),
    "exported-report": (5, lambda dice: {"rows": dice.randrange(10, 50_000), "format": dice.choice(("csv", "pdf"))}),
    "cancelled-plan": (2, lambda dice: {"reason": dice.choice(REASONS)}),
}  # fmt: skip


def _order(dice) -> dict:
    number = dice.randrange(10**6, 10**7)
    return {
        "item": dice.choice(ITEMS),
        "total": {
            "amount": dice.choice((1900, 2900, 4900, 7900, 12900)),
            "currency": dice.choice(("usd", "usd", "eur")),
        },
        "order_number": {"url": f"https://shop.example.com/orders/{number}", "value": str(number)},
        "delivery_date": int(time.time()) + dice.randrange(1, 6) * DAY,
    }


def fill(workspace: Workspace, *, people: int = PEOPLE, events: int = EVENTS, seed: int = SEED, progress=None) -> None:
    """Make people and what they did in the last 90 days. The same seed makes the same, up to the present time.

    `progress` is called with the number of events of each batch stored.
    """
    dice, now = random.Random(seed), int(time.time())
    signed_up = _people(workspace, people, dice, now)
    names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    rows = [("signed-up", user_id, at, {}) for user_id, at in signed_up.items()]
    # Few people do much, as everywhere.
    eager = {user_id: dice.paretovariate(1.3) for user_id in signed_up}
    chosen = dice.choices(list(signed_up), weights=list(eager.values()), k=max(events - people, 0))
    for user_id in chosen:
        [name] = dice.choices(names, weights)
        at = signed_up[user_id] + int((now - signed_up[user_id]) * dice.random())
        rows.append((name, user_id, at, KINDS[name][1](dice)))
    for start in range(0, len(rows), BATCH):
        batch = [
            read_event({"event_name": name, "user_id": user_id, "created_at": at, "metadata": metadata})
            for name, user_id, at, metadata in rows[start : start + BATCH]
        ]
        ingest(workspace, batch, source=Source.IMPORT)
        if progress:
            progress(len(batch))


def _people(workspace, people, dice, now) -> dict[str, int]:
    """Make people with names and plans; return when each signed up, in Unix seconds, by user_id."""
    contacts, signed_up = [], {}
    for number in range(1, people + 1):
        user_id = f"demo-{number}"
        first, last = dice.choice(FIRST), dice.choice(LAST)
        signed_up[user_id] = now - int(dice.triangular(0, 90, 20) * DAY)
        contact = Contact(
            workspace=workspace,
            external_id=user_id,
            email=f"{first}.{last}{number}@example.com".lower(),
            name=f"{first} {last}",
            signed_up_at=signed_up[user_id],
            created_at=signed_up[user_id],
            last_seen_at=now - int(dice.random() * (now - signed_up[user_id])),
            custom_attributes={
                "plan": dice.choices(PLANS, PLAN_WEIGHTS)[0],
                "country": dice.choice(COUNTRIES),
                "seats": dice.randrange(1, 40),
            },
        )
        contact.fold_texts()
        contacts.append(contact)
    Contact.objects.bulk_create(contacts, ignore_conflicts=True, batch_size=BATCH)
    attributes.learn(workspace, [contact.custom_attributes for contact in contacts])
    return signed_up


def add_segments(workspace: Workspace):
    """Make the segments that the demo shows."""
    bought = {"kind": "event", "event": "placed-order", "did": True}
    definitions = {
        "Regular buyers": [bought | {"count": {"op": "gte", "value": 3}, "within": {"last_days": 30}}],
        "Active, never invited": [
            {
                "kind": "event_time",
                "event": "opened-app",
                "occurrence": "last",
                "op": "less_than_days_ago",
                "value": 14,
            },
            {"kind": "event", "event": "invited-friend", "did": False},
        ],
        "Slipping away": [
            bought,
            {
                "kind": "event_time",
                "event": "opened-app",
                "occurrence": "last",
                "op": "more_than_days_ago",
                "value": 30,
            },
        ],
    }
    definitions[FILLED_A_CART] = [{"kind": "event", "event": "added-to-cart", "did": True}]
    for name, conditions in definitions.items():
        given = {"definition": all_of(*conditions)}
        Segment.objects.get_or_create(workspace=workspace, name=name, defaults=given)


def add_rule(workspace: Workspace):
    """Make the live rule that answers the greeting's curl."""
    rule, made = AutoMessage.objects.get_or_create(
        workspace=workspace,
        name="Thanks for your order",
        defaults={
            "trigger": event_type(workspace, "placed-order"),
            "frequency": AutoMessage.Frequency.EVERY_TIME,
            "subject": 'Thank you, {{ contact.name | fallback: "dear customer" }}',
            "body": (
                "<h2>Thank you for your order</h2>\n"
                '<p>Your code is <strong>{{ event.metadata.code | fallback: "on its way" }}</strong>, the total '
                '{{ event.metadata.total | money | fallback: "as agreed" }}.</p>\n'
            ),
        },
    )
    if made:
        rules.go_live(rule)


def add_shop(workspace: Workspace):
    """Make what the demo shop needs: a secret that proves its shoppers, and a message that answers them there."""
    if not workspace.identity_secrets.exists():
        workspace.identity_secrets.create()
    rule, made = AutoMessage.objects.get_or_create(
        workspace=workspace,
        name=CART_RULE,
        defaults={
            "trigger": event_type(workspace, "added-to-cart"),
            "frequency": AutoMessage.Frequency.EVERY_TIME,
            "channel": AutoMessage.Channel.IN_APP,
            "subject": "The {{ event.metadata.item }} is in your cart",
            "body": (
                "<p>With the code <strong>SHOP10</strong> it costs ten percent less than "
                "{{ event.metadata.total | money }}.</p>\n"
            ),
        },
    )
    if made:
        rules.go_live(rule)


def set_up() -> dict:
    """Make the demo workspace, a staff login and a token, once; return email, password and token.

    They are kept in the data folder at mode 0600, so that the next start prints the same.
    """
    path = private_folder(settings.VAR) / "credentials.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if ApiToken.objects.filter(digest=digest_of(kept["token"])).exists():
            return kept
        # The database is another one: what is printed must work.
        path.unlink()
    kept = {"email": EMAIL, "password": secrets.token_urlsafe(9), "token": f"ev_{secrets.token_urlsafe(24)}"}
    with transaction.atomic():
        workspace = Workspace.objects.create(name="Demo shop")
        user, _ = get_user_model().objects.update_or_create(
            username=EMAIL, defaults={"email": EMAIL, "first_name": "Demo", "is_staff": True, "is_superuser": True}
        )
        user.set_password(kept["password"])
        user.save()
        Membership.objects.create(user=user, workspace=workspace, role=Role.ADMIN)
        ApiToken.make(workspace=workspace, name="demo", secret=kept["token"])
        fill(workspace)
        EventType.objects.filter(workspace=workspace, name="placed-order").update(description="An order in the shop")
        add_segments(workspace)
        add_rule(workspace)
        add_shop(workspace)
        # Before the commit: whoever finds the data finds the login too.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(kept, file)
    return kept


def curl(url: str, token: str) -> str:
    """Return a command that sends an event. Its code is another each time, so that two in one second are two."""
    return f"""    curl -i {url}/events \\
      -H 'Authorization: Bearer {token}' \\
      -H 'Content-Type: application/json' \\
      -d '{{"event_name": "placed-order", "created_at": '$(date +%s)', "user_id": "ada", "email": "ada@example.com",
           "metadata": {{"code": "C'$RANDOM$RANDOM'", "total": {{"amount": 4900, "currency": "usd"}}}}}}'"""
