"""The sections of the validation: a file each, run by benchmarks/validate.py."""
