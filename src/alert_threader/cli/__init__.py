"""The commands of ``alert-threader``, one module each. They say what they found; ``cli`` prints it."""
