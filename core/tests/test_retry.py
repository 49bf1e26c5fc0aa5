"""Whether to try again, and after how long: with a clock and a draw of its own."""
