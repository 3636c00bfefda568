"""The service of elicitation: studies in a database, and pages for participants and organisers."""
