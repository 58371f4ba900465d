"""What this app announces, and nothing else."""

from django.dispatch import Signal

# Events of a watched type were stored and committed, and wait to be matched. Sent for speed alone: whoever misses it
# finds them in HandOver. Provides nothing.
events_handed_over = Signal()

# People are being deleted for good: whoever keeps something of theirs deletes it. Sent inside the transaction, so that
# a failure undoes all of it, and again for what was stored meanwhile. Provides: contacts (their ids, a list).
contact_erasing = Signal()

# A tag is being deleted: whoever refers to it lets go of it. Sent inside the transaction, before the tag itself is
# locked. Provides: tag.
tag_deleting = Signal()

# Somebody is being exported. Whoever keeps something of theirs answers with its name in the export and what it is: an
# iterable of values for JSON. Sent before the first word is written, so that a failure leaves no half of a file.
# Provides: contact.
contact_exporting = Signal()

# Somebody is being merged into whom they turned out to be, and what they did has moved. Whoever keeps something of
# theirs moves it; where both have the same, the heir's stays. Sent inside the transaction, so that a failure undoes all
# of it, and again for what was stored meanwhile. Provides: source, into (contacts; the heir is `into`).
contact_merging = Signal()
