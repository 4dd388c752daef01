"""Names of the sources of songs, as tables show them."""

# Commercial records, which nothing is trained on: they choose between models.
RECORDS_SOURCE = "records"

# Rendered songs are less informative: the virtual band also renders songs for training.
RENDER_SOURCE = "render"


# Sources of validation songs: those of the library, and the virtual band.
SOURCES = ("album", "mdn-funk", "pjs", RENDER_SOURCE)


UNSEEN_SOURCE = "album-unseen"
