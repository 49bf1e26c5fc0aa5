"""Running code of plugins: at first use, in turns, and gone without a trace where it fails."""
