"""What this app announces, and nothing else."""

from django.dispatch import Signal

# Events of a watched type were stored and committed, and wait to be matched. Sent for speed alone: whoever misses it
# finds them in HandOver. Provides nothing.
events_handed_over = Signal()
