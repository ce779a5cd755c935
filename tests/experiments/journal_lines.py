"""Lines of a journal with right checksums, whatever they hold."""

import json
import zlib

import daleml


def signed(key, content, version=None, **more):
    """Return a line with a right checksum, of the first format or, with a version, of the second."""
    parts = [key, content] if version is None else [key, content, version]
    checksum = f"{zlib.crc32(json.dumps(parts, sort_keys=True).encode()):08x}"
    if version is not None:
        more = {"format": 2, "daleml": version} | more
    return json.dumps(
        {"key": key, "numbers": content, "checksum": checksum, **more}
    ).encode()


OURS = f"daleml {daleml.__version__}"
