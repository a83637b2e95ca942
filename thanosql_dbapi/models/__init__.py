"""Model families, inference and training: the only place for torch and transformers."""
