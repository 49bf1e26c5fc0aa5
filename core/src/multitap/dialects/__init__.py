"""Wire dialects that several plugins share: how to write a request and how to read the answer.

A dialect knows a protocol and no server: paths, defaults and what a server gets wrong belong to the
plugin. Everything here is a plain function, or an object with ``record`` and ``finish`` for one of
the decoders of ``multitap.framing``.
"""
