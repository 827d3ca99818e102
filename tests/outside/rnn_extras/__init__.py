"""A package of a user's: models, a cell, a function and a subject that rnndiff has not."""
