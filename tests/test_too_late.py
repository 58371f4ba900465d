"""Whoever comes too late for what somebody else deletes at this moment is told that it is gone; all others succeed."""

import threading
import time

import pytest
from django.test import Client
from django.urls import reverse
from pyroaring import BitMap

from eventsapp import erasing, people, tags
from eventsapp.errors import NotFound
from eventsapp.incoming import read_event
from eventsapp.ingest import event_type, ingest
from eventsapp.merging import merge
from eventsapp.models import Contact, EventType, HandOver, Membership, Tag, Tagging
from messaging import matching, subscriptions
from messaging.models import AutoMessage, Delivery, Notification, Sender, Subscription
from messaging.single import send_now
from segments import tagging
from segments.models import TagRun
from tests.conftest import Api
from tests.threads import side_by_side

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 8
PUBLIC = "https://example.org/hook"


@pytest.fixture
def meet(api_with):
    """Make several calls of an app at once: (method, path, body); return the answers in their order."""
    token = api_with("admin").token

    def meet(*calls):
        start = threading.Barrier(len(calls))

        def call(number):
            method, path, body = calls[number]
            app = Api(Client(), token)
            start.wait(10)
            return getattr(app, method)(path, body)

        return side_by_side(len(calls), call)

    return meet


def logged_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def statuses(answers) -> list[int]:
    return [answer.status_code for answer in answers]


def gone(answer) -> str:
    """How an answer says that it comes too late."""
    [fault] = answer.json()["errors"]
    assert (answer.json()["type"], fault["code"], fault["field"]) == ("error.list", "not_found", "id")
    return fault["message"]


@pytest.fixture
def subscribe(api_with):
    admin = api_with("admin")

    def make(*names) -> str:
        sent = {"url": PUBLIC, "topics": ["event.created"], "metadata": {"event_names": names or ["placed-order"]}}
        return f"/subscriptions/{admin.post('/subscriptions', sent).json()['id']}"

    return make


# Subscriptions -------------------------------------------------------------------------------------------------------


def test_of_four_who_delete_a_subscription_one_does(meet, subscribe):
    for _ in range(ROUNDS):
        answers = meet(*[("delete", subscribe(), None)] * 4)
        assert sorted(statuses(answers)) == [200, 404, 404, 404]
        assert {gone(answer) for answer in answers if answer.status_code == 404} == {"Resource Not Found"}
    assert not Subscription.objects.exists()


def test_a_subscription_is_changed_pinged_and_replayed_or_gone(meet, subscribe):
    for _ in range(ROUNDS):
        path = subscribe("placed-order", "signed-up")
        Notification.objects.update(state="failed", reason="refused")
        ping = Notification.objects.get(subscription__public_id=path.rpartition("/")[2])
        calls = [
            ("put", path, {"metadata": {"event_names": ["signed-up", "logged-in"]}}),
            ("put", path, {"active": False}),
            ("post", f"{path}/ping", {}),
            ("post", f"{path}/notifications/{ping.public_id}/replay", {}),
            ("delete", path, None),
        ]
        *answers, deleted = meet(*calls)
        assert deleted.status_code == 200
        assert set(statuses(answers[:2])) <= {200, 404}
        # What was turned off is neither pinged nor told anew.
        assert set(statuses(answers[2:])) <= {200, 404, 409}
        assert {gone(answer) for answer in answers if answer.status_code == 404} <= {"Resource Not Found"}
    assert not Subscription.objects.exists()
    assert not Notification.objects.exists()
    assert not EventType.objects.filter(watched=True).exists()


def test_pages_of_a_subscription_that_is_deleted_meanwhile_say_so(shop, staff, subscribe):
    user = staff("admin").user
    admins = [logged_in(user) for _ in range(4)]
    acts = ("delete", "resume", "turn_off", "ping")
    for _ in range(ROUNDS):
        subscribe()
        address = reverse("webhook", args=[shop.app_id, Subscription.objects.get().pk])
        start = threading.Barrier(len(acts))

        def act(number, address=address, start=start):
            start.wait(10)
            return admins[number].post(address, {"act": acts[number]}).status_code

        deleted, *others = side_by_side(len(acts), act)
        assert deleted == 302
        assert set(others) <= {302, 404}
    assert not Subscription.objects.exists()


def test_events_are_matched_while_subscriptions_are_deleted(shop, subscribe, caplog):
    event_type(shop, "placed-order")
    for round in range(ROUNDS):
        paths = [subscribe() for _ in range(3)]
        events = [
            {"event_name": "placed-order", "created_at": 1_760_000_000 + round, "user_id": str(n)} for n in range(60)
        ]
        ingest(shop, [read_event(event) for event in events])
        start = threading.Barrier(2)

        def act(number, paths=paths, start=start):
            start.wait(10)
            if number:
                return matching.match_waiting()
            for path in paths:
                subscriptions.delete(Subscription.objects.get(public_id=path.rpartition("/")[2]))

        assert side_by_side(2, act)[1] == 60
    assert not Notification.objects.exists()
    assert not HandOver.objects.exists()
    assert [record.message for record in caplog.records if "could not be matched" in record.message] == []


# Tags ----------------------------------------------------------------------------------------------------------------


def test_a_tag_is_renamed_and_put_on_people_or_gone(shop, meet, person):
    ada, ben = person("ada"), person("ben")
    for round in range(ROUNDS):
        tag = tags.find_or_create(shop, f"Tag {round}")
        renamed = {"id": str(tag.pk), "name": f"Renamed {round}"}
        calls = [
            ("post", "/tags", {"name": f"tag {round}", "users": [{"user_id": "ada"}]}),
            ("delete", f"/tags/{tag.pk}", None),
            ("delete", f"/tags/{tag.pk}", None),
            ("post", "/tags", renamed),
            ("post", "/tags", renamed | {"users": [{"user_id": "ada"}, {"user_id": "ben", "untag": True}]}),
            ("post", f"/contacts/{ada.public_id}/tags", {"id": str(tag.pk)}),
            ("post", f"/contacts/{ben.public_id}/tags", {"id": str(tag.pk)}),
            ("delete", f"/contacts/{ben.public_id}/tags/{tag.pk}", None),
        ]
        by_name, *answers = meet(*calls)
        assert by_name.status_code == 200
        assert sorted(statuses(answers[:2])) == [200, 404]
        assert set(statuses(answers[2:])) <= {200, 404}
        words = {gone(answer) for answer in answers if answer.status_code == 404}
        assert words <= {"Tag not found", "The contact does not have this tag"}
        assert not Tag.objects.filter(pk=tag.pk).exists()
    assert not Tagging.objects.exclude(tag__in=Tag.objects.all()).exists()


def test_pages_tag_somebody_by_a_name_that_is_deleted_meanwhile(shop, editor, person):
    ada = person("ada")
    for _ in range(ROUNDS):
        tag, start = tags.find_or_create(shop, "VIP"), threading.Barrier(2)

        def act(number, tag=tag, start=start):
            start.wait(10)
            if number:
                return tags.delete(tag)
            return editor.post(reverse("tag_person", args=[shop.app_id, ada.public_id]), {"name": "vip"}).status_code

        assert side_by_side(2, act) == [302, None]


def test_a_tag_that_is_deleted_meanwhile_fails_no_act_and_no_merge(shop, person):
    crowd = [person(f"p{number}").pk for number in range(600)]
    for round in range(ROUNDS):
        tag, other = tags.find_or_create(shop, f"Tag {round}"), tags.find_or_create(shop, "Other")
        for one in (tag, other):
            tags.put_on_each(one, crowd[:300])
        lead = person(f"lead {round}", role="lead")
        tags.put_on_each(tag, [lead.pk])
        for adds in (True, False, True):
            tagging.ask(tag, BitMap(crowd), adds=adds, question="all", asked_by=None)
        start = threading.Barrier(5)

        def act(number, tag=tag, lead=lead, start=start, round=round):
            start.wait(10)
            match number:
                case 0:
                    time.sleep(round * 0.01)
                    tags.delete(tag)
                case 1 | 2:
                    tagging.work()
                case 3:
                    tags.take_off_people(tag, reversed(crowd))
                case 4:
                    merge(lead, Contact.objects.get(pk=crowd[round]))

        assert side_by_side(5, act) == [None] * 5
        tagging.work()
        assert not TagRun.objects.filter(done_at=None).exists()
    assert set(Tag.objects.values_list("name", flat=True)) == {"Other"}
    assert Tagging.objects.count() == 300


def test_an_act_is_asked_for_and_undone_with_a_tag_that_is_there_or_not_at_all(shop, editor, person):
    ada, page = person("ada"), reverse("people_tag", args=[shop.app_id])
    for _ in range(ROUNDS):
        tag = tags.find_or_create(shop, "VIP")
        run = tagging.ask(tag, BitMap([ada.pk]), adds=True, question="all", asked_by=editor.user)
        tagging.work()
        clients, start = [editor, logged_in(editor.user)], threading.Barrier(3)

        def act(number, tag=tag, run=run, clients=clients, start=start):
            start.wait(10)
            match number:
                case 0:
                    return tags.delete(tag)
                case 1:
                    return clients[0].post(page, {"tag": "vip", "count": "1", "action": "remove"}).status_code
                case 2:
                    return clients[1].post(reverse("tag_run", args=[shop.app_id, run.pk])).status_code

        _, asked, undone = side_by_side(3, act)
        assert asked in (302, 422)
        assert undone == 302
        tagging.work()
        assert not TagRun.objects.filter(done_at=None).exists()


# Others --------------------------------------------------------------------------------------------------------------


def test_a_sender_is_removed_while_rules_and_messages_choose_it(shop, meet, person, admin):
    ada = person("ada", email="ada@example.org")
    owner = Membership.objects.get(user=admin.user)
    content = {"from": admin.user.email, "subject": "Thanks", "body": "<p>Thanks</p>"}
    rule = {"name": "Thanks", "event": "placed-order", "content": content}
    for _ in range(ROUNDS):
        sender = Sender.objects.create(workspace=shop, email=admin.user.email)
        start = threading.Barrier(3)

        def act(number, sender=sender, start=start):
            start.wait(10)
            match number:
                case 0:
                    return admin.post(reverse("remove_sender", args=[shop.app_id, sender.pk])).status_code
                case 1:
                    return send_now(shop, ada, channel="email", subject="Hi", body="Hi", owner=owner).pk
                case 2:
                    return meet(("post", "/auto_messages", rule))[0].status_code

        removed, sent, made = side_by_side(3, act)
        assert removed == 302
        assert made in (200, 422)
        assert Delivery.objects.filter(pk=sent).exists()
        AutoMessage.every.update(sender=None)
        Sender.objects.all().delete()


def test_an_address_that_two_add_at_once_is_one_sender(shop, admin):
    clients = [admin, logged_in(admin.user)]
    for round in range(ROUNDS):
        start = threading.Barrier(2)

        def add(number, start=start, round=round):
            start.wait(10)
            sent = {"sender-email": f"shop-{round}@example.org", "sender-name": "Shop"}
            return clients[number].post(reverse("add_sender", args=[shop.app_id]), sent).status_code

        assert sorted(side_by_side(2, add)) == [302, 422]


def test_somebody_deleted_meanwhile_is_not_archived(person):
    known = person("ada")
    erasing.erase(Contact.objects.get())
    with pytest.raises(NotFound):
        people.archive(known, archived=True)
    assert Contact.objects.get().archived_at is None


def test_a_colleague_who_is_removed_does_not_come_back_with_another_role(shop, staff):
    user, colleague = staff("admin").user, staff("editor").user
    clients = [logged_in(user), logged_in(user)]
    for _ in range(ROUNDS):
        member, start = Membership.objects.get(user=colleague), threading.Barrier(2)
        address = reverse("change_colleague", args=[shop.app_id, member.pk])

        def change(number, address=address, start=start):
            start.wait(10)
            return clients[number].post(address, {"role": "viewer"} | ({"remove": "1"} if number else {})).status_code

        changed, removed = side_by_side(2, change)
        assert (changed in (302, 404), removed) == (True, 302)
        assert not Membership.objects.filter(user=colleague).exists()
        Membership.objects.create(workspace=shop, user=colleague, role="editor")


def test_admins_who_remove_each_other_at_once_leave_one(shop, django_user_model):
    for round in range(ROUNDS):
        clients, start = [], threading.Barrier(2)
        for number in range(2):
            user = django_user_model.objects.create_user(username=f"{round}-{number}", email=f"{round}-{number}@x.org")
            Membership.objects.create(user=user, workspace=shop, role="admin")
            clients.append(logged_in(user))
        first, second = Membership.objects.order_by("pk").values_list("pk", flat=True)

        def remove(number, clients=clients, start=start, others=(second, first)):
            start.wait(10)
            address = reverse("change_colleague", args=[shop.app_id, others[number]])
            return clients[number].post(address, {"remove": "1"}).status_code

        assert set(side_by_side(2, remove)) <= {302, 404}
        assert Membership.objects.count() == 1
        Membership.objects.all().delete()
