"""The virtual band's studio: players, singers, instruments, effects and arrangers that make stems.

`band` is its door: a `Band` plays songs of four stems, each a function of a seed and a number. The makers
of the stems are `vocals`, `drums`, `bass` and `other`; what they share is beneath them, from notes (`midi`,
`harmony`, `grooves`) over sounds (`sampler`, `synth`, `soundfont`, `singing`) to `effects`.
"""
