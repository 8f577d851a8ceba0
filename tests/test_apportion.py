"""Layers that share cores, and the fewest cores a layer needs: fast, and the same as by trying everything."""

from __future__ import annotations


