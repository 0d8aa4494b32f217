"""The rules: who may be whom, with which password, for how long. Knows no HTTP."""
