"""Music in stems: tempo and beats, key, chords, tuning and loudness; slices, loops, MIDI and previews.

Features are computed block by block while a song is separated; what is kept of them is a few kilobytes for
each second of music. The estimators work on these features at the end. Slices, loops, MIDI and previews are
made from the finished stems, one block after another.
"""
