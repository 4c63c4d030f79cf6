"""Agents and a model server to try spantriage with: offline, deterministic, on the standard library."""
