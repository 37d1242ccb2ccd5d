from prometheus_client import Counter

events = Counter(
    "musicrec_events", "Events received, by what became of them: accepted, duplicate, rejected.", ["outcome"]
)
