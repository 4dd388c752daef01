"""Where songs come from, as tables name it."""

# Renders are made by the band that training songs are made by; they say less.
RENDER_SOURCE = "render"


SOURCES = ("album", "mdn-funk", "pjs", RENDER_SOURCE)  # of the library and the band


UNSEEN_SOURCE = "album-unseen"
