"""The HTTP interface, one blueprint a module: parse, one call, answer."""
