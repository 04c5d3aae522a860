"""TFX component that packs a blessed model for the platforms that serve it."""

from components.serving_packager.component import ServingPackager

__all__ = ["ServingPackager"]
