"""The settings, their value types, and the type that keeps a secret out of sight. Imports only ``errors``."""
