"""Does the vault give back what it sealed, to whom it was sealed for, and nothing else?"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import clock
from infra.vault import SealBroken, TokenExpired, TokenInvalid, UnknownKey, Vault

_OLD, _NEW = bytes(range(32)), bytes(range(32, 64))
_vault = Vault([_OLD])
_rotated = Vault([_NEW, _OLD])


@given(st.binary(), st.text())
def test_what_is_sealed_opens_again_and_does_not_show(plaintext: bytes, bound_to: str) -> None:
    sealed = _vault.seal(plaintext, bound_to=bound_to)

    assert _vault.open(sealed, bound_to=bound_to) == plaintext
    assert len(plaintext) < 4 or plaintext not in sealed


@given(st.binary(min_size=1), st.data())
def test_any_changed_bit_is_noticed(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(_vault.seal(plaintext, bound_to="row"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises((SealBroken, UnknownKey)):
        _vault.open(bytes(sealed), bound_to="row")


@given(st.integers(0, 100))
def test_any_cut_is_noticed(length: int) -> None:
    sealed = _vault.seal(bytes(72), bound_to="row")

    with pytest.raises((SealBroken, UnknownKey)):
        _vault.open(sealed[:length], bound_to="row")


def test_a_seal_moved_to_another_row_does_not_open() -> None:
    with pytest.raises(SealBroken):
        _vault.open(_vault.seal(b"secret", bound_to="mailbox 1"), bound_to="mailbox 2")


def test_the_same_secret_never_looks_the_same() -> None:
    assert _vault.seal(b"secret", bound_to="x") != _vault.seal(b"secret", bound_to="x")


def test_a_new_first_key_seals_and_the_old_one_still_opens() -> None:
    old = _vault.seal(b"secret", bound_to="x")

    assert _rotated.open(old, bound_to="x") == b"secret"
    assert _rotated.needs_resealing(old)
    renewed = _rotated.seal(_rotated.open(old, bound_to="x"), bound_to="x")
    assert not _rotated.needs_resealing(renewed)
    with pytest.raises(UnknownKey):
        _vault.open(renewed, bound_to="x")


def test_marks_hold_for_their_message_and_purpose_also_when_cut_and_after_a_change_of_key() -> None:
    mark = _vault.mac(b"position 7", purpose="cursor")

    assert _vault.verify_mac(b"position 7", mark, purpose="cursor")
    assert _rotated.verify_mac(b"position 7", mark[:12], purpose="cursor")
    assert not _vault.verify_mac(b"position 8", mark, purpose="cursor")
    assert not _vault.verify_mac(b"position 7", mark, purpose="link")
    assert not _vault.verify_mac(b"position 7", mark[:11], purpose="cursor")
    assert not _vault.verify_mac(b"position 7", b"", purpose="cursor")


@given(st.binary())
def test_a_token_carries_its_payload_through_a_url(payload: bytes) -> None:
    token = _vault.seal_token(payload, purpose="attachment", expires_in_s=60)

    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert _vault.open_token(token, purpose="attachment") == payload


def test_a_token_ends_at_its_time() -> None:
    now = clock.now()
    with clock.hold(now):
        token = _vault.seal_token(b"x", purpose="attachment", expires_in_s=60)
    with clock.hold(now + timedelta(seconds=58)):
        assert _vault.open_token(token, purpose="attachment") == b"x"
    with clock.hold(now + timedelta(seconds=60)), pytest.raises(TokenExpired):
        _vault.open_token(token, purpose="attachment")


@given(st.text())
def test_no_made_up_text_is_a_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        _vault.open_token(text, purpose="attachment")


def test_a_token_does_not_serve_another_purpose() -> None:
    with pytest.raises(TokenInvalid):
        _vault.open_token(_vault.seal_token(b"x", purpose="attachment", expires_in_s=60), purpose="source")


@pytest.mark.parametrize("keys", [[], [b"short"], [_OLD, b"short"]])
def test_a_vault_without_proper_keys_does_not_open(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)
