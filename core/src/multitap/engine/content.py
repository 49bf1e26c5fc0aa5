"""Undo a ``Content-Encoding``, with a limit on what comes out."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.engine import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.errors import BackendError

__all__ = ("Inflater", "inflater_for")

_FREE_BYTES = 1024 * 1024
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def inflater_for(headers: Mapping[str, str], ratio: int) -> Inflater | None:
    """What undoes an answer's encoding, up to a ratio; ``None``: it has none.

    Raises:
        ProtocolError: It is neither gzip nor deflate, or more than one.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in _FORMATS:
        raise faults.violation("an unknown content encoding")
    return Inflater(_FORMATS[encoding], ratio)


class Inflater:
    """One layer of gzip or deflate.

    After the first MiB the output may be at most ``ratio`` times the input, so that a small answer
    cannot fill the memory.

    Attributes:
        fault: What is wrong with the data behind what was given.
    """

    def __init__(self, window_bits: int, ratio: int) -> None:
        self.fault: BackendError | None = None
        self._format = window_bits
        self._ratio = ratio
        self._zlib = zlib.decompressobj(window_bits)
        self._taken = self._given = 0

    @property
    def complete(self) -> bool:
        """Has the end of the encoded data come, or none of it?"""
        return self._zlib.eof or not self._taken

    def feed(self, data: bytes) -> bytes:
        """Decode what came.

        Raises:
            ProtocolError: It is damaged where it begins, or swells beyond the limit.
        """
        decoded = b"" if self.fault is not None else self._decode(data)
        if self.fault is not None and not decoded:
            raise self.fault
        return decoded

    def _decode(self, data: bytes) -> bytes:
        self._choose_format(data)
        self._taken += len(data)
        allowance = max(_FREE_BYTES, self._ratio * self._taken) - self._given
        intact = self._zlib.copy()
        try:
            decoded = self._zlib.decompress(data, allowance + 1)
        except zlib.error as error:
            self.fault = faults.violation("damaged compressed data")
            self.fault.__cause__ = error
            decoded = _up_to_the_damage(intact, data, allowance + 1)
        self._given += len(decoded)
        if len(decoded) > allowance:
            raise faults.over_limit(f"it swells to more than {self._ratio} times its size")
        if self._zlib.unused_data:
            self.fault = faults.violation("data after the end of the compressed data")
        return decoded

    def _choose_format(self, data: bytes) -> None:
        # "deflate" means zlib's format, but some servers send the bare one.
        if self._format == _ZLIB and not self._taken and data[0] & 0x0F != 8:
            self._zlib = zlib.decompressobj(_RAW)


def _up_to_the_damage(intact: zlib._Decompress, data: bytes, most: int) -> bytes:
    """What damaged data says before its damage, which zlib keeps for itself."""
    decoded = bytearray()
    with suppress(zlib.error):
        for at in range(len(data)):
            decoded += intact.decompress(data[at : at + 1], most - len(decoded))
            if len(decoded) >= most:
                break
    return bytes(decoded)
