"""Analysis of music: tempo and beats, key, chords, tuning, loudness, and where each stem sounds.

Features are computed block by block while a song is separated; what is kept of them is a few kilobytes for
each second of music. The estimators work on these features at the end.
"""
