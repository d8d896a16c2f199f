"""The command line, one module for each command. Imports every other room; only this one starts ``slack_sandbox``."""
