"""Synthesis of training songs: the players, instruments, effects and arrangers of the virtual band.

`band` is the entry point: a `Band` renders songs of four stems, each a function of a seed and a number. The
renderers of the stems are `vocals`, `drums`, `bass` and `other`; they share notes (`midi`, `harmony`,
`grooves`), sounds (`sampler`, `synth`, `soundfont`, `singing`) and `effects`.
"""
