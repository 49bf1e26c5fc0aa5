"""One module per capability: its protocol, its request and its results.

A plugin implements the ones it has and knows nothing of the others. ``PROTOCOLS`` maps each name to
the class that a hook's result is checked against.
"""
