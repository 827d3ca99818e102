"""Implementations under test, one file each; none is imported before it is asked for."""

from rnndiff.harness.subjects.subject import Subject

__all__ = ["Subject"]
