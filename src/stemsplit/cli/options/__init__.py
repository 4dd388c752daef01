"""The options of the commands, declared once: for the parser, for the help and for the code."""
