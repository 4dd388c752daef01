"""Files of any kind: atomic writes, safe names, TOML, the folders of the user."""
