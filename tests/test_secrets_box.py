"""What is sealed can be opened in its own place, under its own key, unchanged, and nowhere else."""

import secrets

import pytest

from secrets_box import SecretBroken, SecretsBox, open_secret, seal_secret

KEY = secrets.token_bytes(32)


def test_a_secret_comes_back() -> None:
    sealed = seal_secret(KEY, "we_1", "whsec_训迹")
    assert open_secret(KEY, "we_1", sealed) == "whsec_训迹"
    assert SecretsBox(KEY).open("we_1", sealed) == "whsec_训迹".encode()
    assert seal_secret(KEY, "we_1", "whsec_训迹") != sealed


def test_it_does_not_open_elsewhere_or_changed() -> None:
    sealed = seal_secret(KEY, "we_1", "whsec_x")
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for key, place, text in (
        (KEY, "we_2", sealed),
        (secrets.token_bytes(32), "we_1", sealed),
        (KEY, "we_1", changed),
        (KEY, "we_1", sealed[:-1]),
        (KEY, "we_1", b""),
    ):
        with pytest.raises(SecretBroken):
            open_secret(key, place, text)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretsBox(b"short")
