"""Reading a subscription: what the API is sent and what the form of the page says are both read here, so that both are
told the same."""

from collections.abc import Iterator

from eventsapp.errors import Fault, Refused, invalid, missing
from eventsapp.incoming import MAX_NAME, normal_name
from eventsapp.ingest import names_without_room
from messaging.channels.outgoing import fault_in_url
from messaging.models import Subscription

MOST = 50  # subscriptions of one workspace: each event that all of them name is as many rows
MOST_NAMES = 120  # events of one subscription
LONGEST_URL, LONGEST_SECRET = 500, 255
EXAMPLE = "https://example.org/hook"


def read_subscription(subscription: Subscription, sent) -> dict:
    """Return what decoded JSON says of a subscription: its fields, and `event_names` as they are stored. What is not
    named is left out. Raises Refused with every fault."""
    if not isinstance(sent, dict):
        raise Refused(invalid("body", "Write a JSON object with the url, the topics and the event_names."))
    if subscription.pk is None and subscription.workspace.subscriptions.count() >= MOST:
        message = f"There are {MOST} subscriptions already. Delete one, or name more events in one."
        raise Refused(Fault("parameter_invalid", message), status=422)
    found, faults = {}, []
    for read in (_service_type, _url, _topics, _event_names, _secret, _active):
        faults += read(subscription, sent, found)
    if not faults:
        faults += _names_for_topics(subscription, found)
    if faults:
        raise Refused(*faults)
    return found


def _service_type(subscription, sent, found) -> Iterator[Fault]:
    if sent.get("service_type") not in (None, "web"):
        yield invalid("service_type", "service_type must be web: no other kind of service is told.")


def _url(subscription, sent, found) -> Iterator[Fault]:
    url = sent.get("url")
    if url is None:
        if subscription.pk is None:
            yield missing("url", f"url is missing. Write the address that is to be told, such as {EXAMPLE}.")
    elif not isinstance(url, str) or len(url) > LONGEST_URL:
        yield invalid("url", f"url must be an address of at most {LONGEST_URL} characters, such as {EXAMPLE}.")
    elif fault := fault_in_url(url):
        yield invalid("url", fault)
    else:
        found["url"] = url


def _topics(subscription, sent, found) -> Iterator[Fault]:
    topics, known = sent.get("topics"), " and ".join(Subscription.TOPICS)
    if topics is None:
        if subscription.pk is None:
            yield missing("topics", 'topics is missing. Write ["event.created"].')
    elif not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
        yield invalid("topics", f"topics must be a list of texts. There are {known}.")
    elif unknown := [topic for topic in topics if topic not in Subscription.TOPICS]:
        yield invalid("topics", f"“{unknown[0][:100]}” is no topic here. There are {known}.")
    else:
        found["topics"] = list(dict.fromkeys(topics))


def _event_names(subscription, sent, found) -> Iterator[Fault]:
    metadata, field = sent.get("metadata"), "metadata.event_names"
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield invalid("metadata", 'metadata must be an object, such as {"event_names": ["placed-order"]}.')
        return
    names = metadata.get("event_names")
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield invalid(field, 'event_names must be a list of texts, such as ["placed-order"].')
    elif fault := fault_in_names(names):
        yield invalid(field, fault)
    elif names_without_room(subscription.workspace, map(normal_name, names)):
        limit = subscription.workspace.event_name_limit
        yield invalid(field, f"The workspace has room for {limit} event names. Name events that are there already.")
    else:
        found["event_names"] = list(dict.fromkeys(map(normal_name, names)))


def fault_in_names(names: list[str]) -> str | None:
    """Return what is wrong with these names of events, as a sentence, or None."""
    if len(names) > MOST_NAMES:
        return f"There are {len(names)} names. Write at most {MOST_NAMES}."
    for name in names:
        if not name.strip() or "\0" in name:
            return "A name is empty, or holds a NUL character. Write what happened, such as placed-order."
        if len(normal_name(name)) > MAX_NAME:
            return f"A name has more than {MAX_NAME} characters. Write fewer."
    return None


def _secret(subscription, sent, found) -> Iterator[Fault]:
    # Null is what an answer says, and may come back with it: it changes nothing.
    secret = sent.get("hub_secret")
    if secret is None:
        return
    if not isinstance(secret, str) or len(secret) > LONGEST_SECRET or "\0" in secret:
        yield invalid("hub_secret", f"hub_secret must be a text of at most {LONGEST_SECRET} characters.")
    else:
        found["hub_secret"] = secret


def _active(subscription, sent, found) -> Iterator[Fault]:
    active = sent.get("active")
    if isinstance(active, bool):
        found["active"] = active
    elif active is not None:
        yield invalid("active", "active must be true or false.")


def _names_for_topics(subscription, found) -> Iterator[Fault]:
    """Whoever is told of events says of which; there is no “all of them”."""
    topics = found.get("topics", subscription.topics)
    names = found.get("event_names")
    if Subscription.EVENT_CREATED not in topics:
        if names:
            yield invalid("topics", "event_names are for the topic event.created. Write it among the topics.")
        found["event_names"] = []
    elif names == [] or names is None and not (subscription.pk and subscription.wishes.exists()):
        example = '{"event_names": ["placed-order"]}'
        yield missing("metadata.event_names", f"Say which events it is told of: write {example} as metadata.")
