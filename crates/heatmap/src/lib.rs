//! Pictures of a garbage map: terminal, SVG and PNG.
