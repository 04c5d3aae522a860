"""ROOM 1, intake: files on disk come in, a `TrainedModel` goes out. `opening.open_source` is the door.

What passes through its parts: `locating` turns a path into files, `detect` says what they are, `keras_files`,
`live_models`, `saved_models` and `saver_checkpoints` read them, `choosing` completes what a user left out,
`running` makes the baseline, and `user_code` runs what the user named.
"""
