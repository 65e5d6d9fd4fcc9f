"""SHA-256 beside the reading: the same as without a thread."""

import hashlib
import threading

import pytest

from binnet.modelfile.digests import Digests, digest


def test_pieces_of_several_names_in_any_order():
    with Digests() as digests:
        for name, piece in [("a", b"one"), ("b", memoryview(b"x" * 9999)), ("a", b""), ("a", b"two"), ("", b"rest")]:
            digests.update(name, piece)
    assert digests.found("a") == digest(b"one", b"two") == hashlib.sha256(b"onetwo").hexdigest()
    assert digests.found("b") == digest(b"x" * 9999)
    assert digests.found("") == digest(b"rest")
    assert digests.found("never") == hashlib.sha256().hexdigest()


def digests_of_a_file_that_goes(digests):
    with digests:
        digests.update("a", b"1")
        raise OSError("gone")


def test_the_thread_ends_with_the_block_also_after_an_error():
    before, digests = threading.active_count(), Digests()
    with pytest.raises(OSError, match="gone"):
        digests_of_a_file_that_goes(digests)
    assert threading.active_count() == before
    assert digests.found("a") == digest(b"1")
