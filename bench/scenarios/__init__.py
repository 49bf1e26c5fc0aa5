"""One file for each scenario.

Its ``measured(subject)`` runs in the client's process, its ``SCENARIO`` says whom to measure, how
to show it, and what is to be reached.
"""

SCENARIOS = (
    "burst",
    "paced",
    "many_streams",
    "first_token",
    "short_chats",
    "startup",
    "embeddings",
    "local_model",
    "filters",
)
