"""Bounds of what any model may ask for, whoever made it, and the types of values that have them."""

from typing import Annotated, Final

from stemsplit.files.schema import between

MAX_SIZE: Final = 2**26  # of a transform, a segment or a rate: about 25 minutes at 44,100 Hz
MAX_CHUNK_S: Final = 600

SampleRate = Annotated[int, between(1, MAX_SIZE)]
Size = Annotated[int, between(0, MAX_SIZE)]
ChannelCount = Annotated[int, between(1, 2)]
ChunkLength = Annotated[float, between(0.1, MAX_CHUNK_S)]
ContextLength = Annotated[float, between(0, MAX_CHUNK_S)]
