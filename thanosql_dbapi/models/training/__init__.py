"""CTC fine-tuning: what a BUILD does once it has its rows. Nothing is imported here."""
