"""Names of the files inside the folders that stages hand to each other."""

TASKS_FILE = "tasks.jsonl"
TRAJECTORIES_FILE = "trajectories.jsonl"
SCORES_FILE = "scores.json"
HISTORY_FILE = "history.json"
QUESTIONS_FILE = "questions.jsonl"
REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.json"
