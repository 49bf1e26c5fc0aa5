"""The own carrier: HTTP/1.1 over plain and TLS connections, blocking and on an event loop."""
