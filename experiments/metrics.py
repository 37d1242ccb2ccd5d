from prometheus_client import Counter

slates_logged = Counter("musicrec_slates_logged", "Slates kept for counting what comes of them.")
slates_dropped = Counter("musicrec_slates_dropped", "Slates not kept: too many at once, or the database away.")
roll_ups = Counter("musicrec_roll_ups", "Roll-ups of engagement that ended, by how.", ["status"])
