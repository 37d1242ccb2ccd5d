from prometheus_client import Counter

model_loads = Counter("musicrec_model_loads", "Versions taken into service by this process.")
model_load_failures = Counter("musicrec_model_load_failures", "Versions that could not be loaded.")
alarms = Counter("musicrec_alarms", "Alarms raised.", ["kind"])
training_runs = Counter("musicrec_training_runs", "Training runs that ended, by how.", ["status"])
tuning_studies = Counter("musicrec_tuning_studies", "Tuning studies that ended, by how.", ["status"])
answers = Counter(
    "musicrec_answers", "Slates answered, by the first source that contributed.", ["strategy", "degraded"]
)
