"""Containers: layers made of layers."""
