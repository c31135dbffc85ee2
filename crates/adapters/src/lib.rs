//! The world behind the ports: registries, signatures, stores, keys.
