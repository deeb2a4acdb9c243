//! Objects that a kustomization makes: ConfigMaps, Secrets, charts, and the hash in their names.
