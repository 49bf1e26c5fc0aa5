"""Undo a ``Content-Encoding``, with a limit on what comes out."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from multitap.engine import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """

    def __init__(self, window_bits: int, ratio: int) -> None:
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
            ProtocolError: It is damaged, or swells beyond the limit.
        """
        self._choose_format(data)
        self._taken += len(data)
        allowance = max(_FREE_BYTES, self._ratio * self._taken) - self._given
        try:
            decoded = self._zlib.decompress(data, allowance + 1)
        except zlib.error as error:
            raise faults.violation("damaged compressed data") from error
        self._given += len(decoded)
        if len(decoded) > allowance:
            raise faults.over_limit(f"it swells to more than {self._ratio} times its size")
        if self._zlib.unused_data:
            raise faults.violation("data after the end of the compressed data")
        return decoded

    def _choose_format(self, data: bytes) -> None:
        # "deflate" means zlib's format, but some servers send the bare one.
        if self._format == _ZLIB and not self._taken and data[0] & 0x0F != 8:
            self._zlib = zlib.decompressobj(_RAW)
