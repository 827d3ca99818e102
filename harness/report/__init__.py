"""How it is shown: in words, matrices, figures and pages."""
