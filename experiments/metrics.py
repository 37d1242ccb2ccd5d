from prometheus_client import Counter

slates_logged = Counter("musicrec_slates_logged", "Slates stored for the engagement report.")
slates_dropped = Counter(
    "musicrec_slates_dropped", "Slates not stored: the buffer was full, or the database unavailable."
)
roll_ups = Counter("musicrec_roll_ups", "Roll-ups of engagement that ended, by status.", ["status"])
