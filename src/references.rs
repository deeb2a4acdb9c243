//! Names that follow renamed resources.
