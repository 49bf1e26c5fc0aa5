"""What is installed: distributions and their ``provider.toml``, read without importing anything.

``snapshot`` keeps the table in step with the disk, and ``cache`` leaves it to the next process;
``metadata`` reads what is written in the usual way, ``library`` asks ``importlib_metadata`` for the
rest.
"""
