"""Static files under names that carry their content's hash, so that browsers may keep them for a year."""

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStatic(CompressedManifestStaticFilesStorage):
    """Also rewrites `import … from "./x.js";` in our own modules, and in ours only.

    Django's switch for that reads every file and stumbles over a type comment in htmx's.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("ui/*.js", HashedFilesMixin._js_module_import_aggregation_patterns[1]),
    )
