"""Release bundles: manifests, what they refer to, offline kits, and version skew."""
