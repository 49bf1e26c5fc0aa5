"""Any server that speaks OpenAI's API over HTTP, for the tests of what lies around a plugin."""
