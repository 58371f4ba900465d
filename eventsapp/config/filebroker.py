"""The embedded size's broker: Celery's messages as files, each of which appears whole.

kombu's own transport makes a file, then locks and fills it. A worker that looks in between takes an empty message,
which ends it. Here a file is filled under another name and then renamed.
"""

import os
import uuid
from pathlib import Path
from time import monotonic

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **kwargs):
        # Sorted by name is sorted by age: so kombu reads them.
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        _appear(Path(self.data_folder_out) / name, payload)

    def _queue_bind(self, exchange, routing_key, pattern, queue):
        file = self._exchange_file(exchange)
        file.parent.mkdir(exist_ok=True)
        binding = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        known = self.get_table(exchange)
        if binding not in known:
            # Two processes that bind at once bind the same, our one queue: whichever comes last, it is there.
            _appear(file, [binding, *known])


class Transport(filesystem.Transport):
    Channel = Channel


def _appear(file: Path, content):
    draft = file.with_name(f".{file.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    draft.write_bytes(str_to_bytes(dumps(content)))
    draft.rename(file)


def install():
    """Have `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
