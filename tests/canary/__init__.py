"""Proof that no secret is shown: a plugin for every test here, and tests of its own."""
